"""Files as text: `data:` URIs (RFC 2397) and base64."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote_to_bytes

_DATA = re.compile(r"\s*data:[^,]{0,200}?(;base64)?,", re.IGNORECASE)
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


def is_data_uri(text: str) -> bool:
    """Return whether a text begins as a `data:` URI does."""
    return text[:20].lstrip()[:5].lower() == "data:"


def decode_data_uri(text: str) -> bytes:
    """Return the content of a `data:` URI. Raises ValueError, without the text."""
    match = _DATA.match(text)
    if match is None:
        raise ValueError("the data: URI has no comma before its data")
    content = text[match.end() :]
    if match[1] is None:
        return unquote_to_bytes(content)
    return decode_base64(unquote_to_bytes(content).decode("latin-1") if "%" in content else content)


def decode_base64(text: str) -> bytes:
    """Return what base64 stands for; the alphabet may be that of URLs, padding may be missing.

    Raises:
        ValueError: Without the text.
    """
    plain = "".join(text.split()).translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    if _NOT_BASE64.search(plain) or len(plain) % 4 == 1:
        raise ValueError("the base64 is damaged")
    return base64.b64decode(plain + "=" * (-len(plain) % 4))
