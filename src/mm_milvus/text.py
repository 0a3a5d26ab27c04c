"""Text for one line of a message, and text that every tokenizer and engine accepts."""

from __future__ import annotations

import json
import re
from typing import Any

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufeff\ufff9-\ufffb\U000e0001]"
)
"""Characters that a terminal acts upon, reorders its line by, or does not show: controls, those of
bidirectional text, separators of lines, and lone surrogates. Joiners stay: emoji and scripts need
them."""


def one_line(error: object) -> str:
    """Return a message as one line; the name of its type where it is empty."""
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message."""
    text = str(error).strip()
    return text.splitlines()[0] if text else "no reason given"


def is_utf8(text: str) -> bool:
    """Return whether a text is valid Unicode, which a lone surrogate is not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """Return the text with backslash escapes for whatever is not valid Unicode."""
    return text if is_utf8(text) else text.encode(errors="backslashreplace").decode()


def replace_surrogates(text: str) -> str:
    """Return the text with `?` for each lone surrogate, which no tokenizer accepts."""
    return text.encode("utf-8", "replace").decode()


def as_text(value: Any) -> str:
    """Return a JSON value as text: a text unchanged, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def visible(text: str) -> str:
    r"""Return a text with escapes, such as `\x1b`, for what a terminal would act upon or hide."""
    return _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def visible_json(text: str) -> str:
    """Return JSON with the escapes of JSON in place of the same characters."""
    return _UNSEEN.sub(lambda match: _json_escape(match[0]), text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))
