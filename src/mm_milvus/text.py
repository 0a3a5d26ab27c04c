"""Text for one line of a message, and text that every tokenizer and engine accepts."""

from __future__ import annotations


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
