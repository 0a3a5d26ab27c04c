"""How the bytes of a text are decoded: by its byte order mark, as chosen, or as UTF-8."""

from __future__ import annotations

import codecs
import difflib
import encodings.aliases

from mm_milvus.errors import OptionError

MARK_BYTES = 8
"""Bytes at the head of a text that show its encoding."""

REMEDY = "name its `encoding`, such as cp1252, or save it as UTF-8"


def check_encoding(name: str) -> None:
    """Raise OptionError for a name that is no encoding of text."""
    try:
        known = codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):
        known = False
    if not known:
        names = [alias.replace("_", "-") for alias in encodings.aliases.aliases]
        names += encodings.aliases.aliases.values()
        near = difflib.get_close_matches(name.lower(), dict.fromkeys(names), n=3)
        hint = f" (is it {', '.join(near)}?)" if near else ""
        raise OptionError(
            f"`encoding` is {name!r}, which is unknown{hint}: give a name such as latin-1, "
            "cp1252, shift_jis or gbk"
        )


def encoding_of(head: bytes, chosen: str | None) -> tuple[str, str]:
    """Return the encoding of a text, and how its invalid bytes are decoded.

    Args:
        head: The first bytes of the text, `MARK_BYTES` or all of a shorter text.
        chosen: The encoding where there is no byte order mark; None: UTF-8, or UTF-16 where every
            second byte of the head is zero, as in no text of UTF-8.

    Returns:
        The encoding, and the error handler that makes lone surrogates of invalid bytes.
    """
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32", "surrogatepass"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", "surrogatepass"
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig", "surrogateescape"
    if chosen is None and len(head) >= 4:
        low, high = head[: len(head) // 2 * 2 : 2], head[1::2]
        if not any(high) and all(low):
            return "utf-16-le", "surrogatepass"
        if not any(low) and all(high):
            return "utf-16-be", "surrogatepass"
    name = codecs.lookup(chosen or "utf-8-sig").name
    return name, "surrogatepass" if name.startswith(("utf-16", "utf-32")) else "surrogateescape"


def decode_text(data: bytes, chosen: str | None) -> str:
    """Return the text of a whole file. Raises UnicodeDecodeError."""
    return data.decode(encoding_of(data[:MARK_BYTES], chosen)[0])
