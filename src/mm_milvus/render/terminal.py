"""Pictures and links in a terminal: what it can show, and the escape sequences of pictures.

Sources: the kitty graphics protocol, https://sw.kovidgoyal.net/kitty/graphics-protocol/, iTerm2's
inline images, https://iterm2.com/documentation-images.html, and the terminals that know links,
https://github.com/Alhadis/OSC8-Adoption.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from PIL import Image

from mm_milvus.images.decoding import decode

Protocol = Literal["kitty", "iterm2", "blocks"]

CHUNK = 4096
"""Maximum number of base64 characters in one kitty sequence."""

CELL_WIDTH = 10
"""Approximate width of a terminal cell in pixels: a picture is sent no wider than it is shown."""

# WezTerm supports kitty's protocol as well, but there a picture erases the previous one.
_PROGRAMS: Mapping[str, Protocol] = {
    "kitty": "kitty",
    "ghostty": "kitty",
    "iTerm.app": "iterm2",
    "WezTerm": "iterm2",
}
_KITTY_TERMS = ("xterm-kitty", "xterm-ghostty")
_MULTIPLEXERS = ("screen", "tmux")

_LINK_PROGRAMS = frozenset({*_PROGRAMS, "Hyper", "Tabby", "rio", "vscode", "zed"})
_LINK_TERMS = (*_KITTY_TERMS, "alacritty", "contour", "foot", "wezterm", "xterm-rio")
_LINK_VARIABLES = ("DOMTERM", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "WT_SESSION")
_LEAST_VTE = 5000
"""Version of VTE, the terminal of GNOME and others, that first knew links: 0.50."""


def detect(environ: Mapping[str, str], isatty: bool) -> Protocol | None:
    """Return the best way to show pictures in a terminal.

    Args:
        environ: The environment variables.
        isatty: Whether the output is a terminal.

    Returns:
        The graphics protocol, or coloured half blocks; None where neither can be shown.
    """
    term = environ.get("TERM", "")
    if not isatty or term == "dumb" or environ.get("NO_COLOR"):
        return None
    # A multiplexer passes on the variables of the terminal that it runs in, but not pictures.
    if not ("TMUX" in environ or term.startswith(_MULTIPLEXERS)):
        program = environ.get("TERM_PROGRAM", "")
        if program in _PROGRAMS:
            return _PROGRAMS[program]
        # An editor that was started in kitty inherits the window's number, and sets its own name.
        if term in _KITTY_TERMS or ("KITTY_WINDOW_ID" in environ and not program):
            return "kitty"
    return "blocks" if environ.get("COLORTERM") in ("truecolor", "24bit") else None


def shows_links(environ: Mapping[str, str], isatty: bool) -> bool:
    """Return whether a terminal is known to turn OSC 8 sequences into links.

    Args:
        environ: The environment variables.
        isatty: Whether the output is a terminal.
    """
    term = environ.get("TERM", "")
    if not isatty or term == "dumb" or environ.get("NO_COLOR"):
        return False
    if "TMUX" in environ or term.startswith(_MULTIPLEXERS):
        return False  # only their newest versions pass links on
    vte = environ.get("VTE_VERSION", "")
    return (
        environ.get("TERM_PROGRAM", "") in _LINK_PROGRAMS
        or term.startswith(_LINK_TERMS)
        or any(environ.get(name) for name in _LINK_VARIABLES)
        or (vte.isdecimal() and int(vte) >= _LEAST_VTE)
    )


def encode(image: Image.Image, protocol: Protocol, columns: int) -> str:
    """Encode a picture as text to print, ending with a new line.

    Args:
        image: A picture of any mode; transparency is put on white.
        protocol: How to show it, from `detect`.
        columns: Width in terminal cells.

    Raises:
        ValueError: When `columns` is less than 1.
        ImageError: When the picture cannot be converted to RGB.
    """
    if columns < 1:
        raise ValueError(f"columns is {columns}, and must be at least 1")
    image = decode(image)
    if protocol == "kitty":
        return "".join(_kitty(image, columns)) + "\n"
    if protocol == "iterm2":
        return _iterm2(image, columns) + "\n"
    return "".join(f"{line}\n" for line in _blocks(image, columns))


def _kitty(image: Image.Image, columns: int) -> Iterator[str]:
    data = base64.b64encode(_png(image, columns)).decode("ascii")
    keys = f"a=T,f=100,q=2,c={columns},"
    for start in range(0, len(data), CHUNK):
        more = int(start + CHUNK < len(data))
        yield f"\x1b_G{keys}m={more};{data[start : start + CHUNK]}\x1b\\"
        keys = ""


def _iterm2(image: Image.Image, columns: int) -> str:
    png = _png(image, columns)
    data = base64.b64encode(png).decode("ascii")
    return f"\x1b]1337;File=inline=1;size={len(png)};width={columns}:{data}\a"


def _blocks(image: Image.Image, columns: int) -> Iterator[str]:
    """Yield lines with two pixels per cell: a half block in the upper one, on the lower one."""
    rows = max(1, round(columns * image.height / image.width / 2))
    pixels = np.asarray(image.resize((columns, 2 * rows), Image.Resampling.LANCZOS))
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        cells = (
            f"\x1b[38;2;{_rgb(above)};48;2;{_rgb(below)}m▀"
            for above, below in zip(upper, lower, strict=True)
        )
        yield "".join(cells) + "\x1b[0m"


def _rgb(pixel: list[int]) -> str:
    return ";".join(map(str, pixel))


def _png(image: Image.Image, columns: int) -> bytes:
    width = columns * CELL_WIDTH
    if image.width > width:
        height = max(1, round(image.height * width / image.width))
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
