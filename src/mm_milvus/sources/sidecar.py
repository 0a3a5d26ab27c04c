"""Captions in a file beside the image: text, a caption a line, or JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from mm_milvus.text import one_line

CAPTION_KEYS = ("caption", "captions", "text")
SUFFIXES = (".txt", ".json")


@dataclass(slots=True)
class Sidecar:
    """What a sidecar says of its image."""

    captions: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


def parse_sidecar(name: str, data: bytes) -> Sidecar:
    """Read a sidecar, by the suffix of its name. Raises ValueError, with the reason."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not valid UTF-8 (byte {error.start})") from error
    if name.lower().endswith(".txt"):
        return Sidecar([line.strip() for line in text.split("\n") if line.strip()])
    return _parse_json(name, text)


def _parse_json(name: str, text: str) -> Sidecar:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not valid JSON: {one_line(error)}") from error
    if not isinstance(content, dict):
        return Sidecar(as_captions(content, name))
    captions = [
        caption
        for key in CAPTION_KEYS
        if key in content
        for caption in as_captions(content[key], f"{key} of {name}")
    ]
    rest = {key: value for key, value in content.items() if key not in CAPTION_KEYS}
    return Sidecar(captions, rest)


def as_captions(value: Any, where: str) -> list[str]:
    """The captions in a text, a number, or a list of those; blank ones left out.

    Raises ValueError, naming `where`, for anything else.
    """
    match value:
        case None:
            return []
        case str():
            return [value] if value.strip() else []
        case bool() | dict() | bytes():
            raise ValueError(f"{where} is neither a text nor a list of texts")
        case float() if math.isnan(value):
            return []
        case int() | float():
            return [str(value)]
        case list():
            return [caption for inner in value for caption in as_captions(inner, where)]
        case _:
            raise ValueError(f"{where} is neither a text nor a list of texts")
