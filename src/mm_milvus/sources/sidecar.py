"""Captions and metadata in a file next to the image: text with one caption per line, or JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from mm_milvus.images.suffixes import has_image_suffix
from mm_milvus.sources.encodings import REMEDY, decode_text
from mm_milvus.text import one_line

CAPTION_KEYS = ("caption", "captions", "text")
"""The keys of a JSON object whose values are captions; all others are metadata. In a file of Google
Takeout, whose `title` is the name of the image, the caption is its `description`."""


@dataclass(slots=True)
class Sidecar:
    """The content of a sidecar file."""

    captions: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


def parse_sidecar(name: str, data: bytes, encoding: str | None = None) -> Sidecar:
    """Parse a sidecar file.

    Args:
        name: The file's name; its suffix decides between text and JSON.
        data: The file's content.
        encoding: Of the text, where it is neither UTF-8 nor UTF-16.

    Raises:
        ValueError: With the reason, which names the file.
    """
    try:
        text = decode_text(data, encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        kind = encoding or "UTF-8"
        raise ValueError(f"{name} is not valid {kind} (byte {error.start}): {REMEDY}") from error
    if not name.lower().endswith(".json"):
        return Sidecar([line.strip() for line in text.split("\n") if line.strip()])
    return _parse_json(name, text)


def _parse_json(name: str, text: str) -> Sidecar:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not valid JSON: {one_line(error)}") from error
    if not isinstance(content, dict):
        return Sidecar(to_captions(content, name))
    keys = ("description",) if _is_takeout(content) else CAPTION_KEYS
    captions = [
        caption
        for key in keys
        if key in content
        for caption in to_captions(content[key], f"{key} of {name}")
    ]
    metadata = {key: value for key, value in content.items() if key not in keys}
    return Sidecar(captions, metadata)


def _is_takeout(content: dict[str, Any]) -> bool:
    """Return whether an object is of Google Takeout: an image's file name, and its description."""
    title = content.get("title")
    return (
        isinstance(title, str)
        and isinstance(content.get("description"), str)
        and has_image_suffix(title)
        and not any(key in content for key in CAPTION_KEYS)
    )


def to_captions(value: Any, where: str) -> list[str]:
    """Return the captions in a text, a number, or a list of those, without blank ones.

    Args:
        value: A value from JSON or from a cell of a table.
        where: What the error names: a column, or a key and its file.

    Raises:
        ValueError: For a value of any other type.
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
            return [caption for inner in value for caption in to_captions(inner, where)]
        case _:
            raise ValueError(f"{where} is neither a text nor a list of texts")
