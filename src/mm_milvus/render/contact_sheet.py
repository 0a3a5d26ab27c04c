"""One picture of several: a titled row per query, a labelled thumbnail per result."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont, ImageOps

from mm_milvus.images.decoding import decode
from mm_milvus.render.style import FAINT, INK, LINE

THUMBNAIL = 128
GAP = 16
MARGIN = 24
TITLE_SIZE, LABEL_SIZE = 18, 12
TITLE_HEIGHT, LABEL_HEIGHT = 32, 20
ROW_HEIGHT = TITLE_HEIGHT + THUMBNAIL + LABEL_HEIGHT
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"
NO_CHARACTER = "\uffff"

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def contact_sheet(rows: Sequence[tuple[str, Sequence[tuple[Image.Image, str]]]]) -> Image.Image:
    """Lay rows of pictures out on white.

    Every picture is fitted whole into 128 x 128 pixels; a title or label that is too long is cut
    with an ellipsis. Pillow's own font has few letters beyond ASCII: a letter that it lacks is
    drawn without its accent, any other character as "?".

    Args:
        rows: For each row, its title and its (picture, label) pairs.

    Returns:
        An RGB picture, as large as its rows need.

    Raises:
        ImageError: When a picture cannot be converted to RGB.
    """
    columns = max((len(pictures) for _, pictures in rows), default=0)
    width = max(columns, 1) * (THUMBNAIL + GAP) - GAP
    height = max(len(rows), 1) * (ROW_HEIGHT + GAP) - GAP
    sheet = Image.new("RGB", (width + 2 * MARGIN, height + 2 * MARGIN), "white")
    title_font = ImageFont.load_default(TITLE_SIZE)
    for number, (title, pictures) in enumerate(rows):
        top = MARGIN + number * (ROW_HEIGHT + GAP)
        write_line(sheet, (MARGIN, top), title, title_font, INK, width)
        _draw_row(sheet, top + TITLE_HEIGHT, pictures)
    return sheet


def _draw_row(sheet: Image.Image, top: int, pictures: Sequence[tuple[Image.Image, str]]) -> None:
    font = ImageFont.load_default(LABEL_SIZE)
    for column, (picture, label) in enumerate(pictures):
        left = MARGIN + column * (THUMBNAIL + GAP)
        sheet.paste(make_thumbnail(picture), (left, top))
        write_line(sheet, (left, top + THUMBNAIL + 4), label, font, FAINT, THUMBNAIL)


def make_thumbnail(picture: Image.Image) -> Image.Image:
    """Fit a whole picture into a framed white tile of 128 x 128 pixels."""
    tile = ImageOps.pad(decode(picture), (THUMBNAIL, THUMBNAIL), color="white")
    ImageDraw.Draw(tile).rectangle((0, 0, THUMBNAIL - 1, THUMBNAIL - 1), outline=LINE)
    return tile


def write_line(
    sheet: Image.Image, at: tuple[int, int], text: str, font: Font, colour: str, width: int
) -> None:
    """Write a text as one line, cut to `width` pixels with an ellipsis.

    Args:
        sheet: The picture that is written on.
        at: Left and top of the line, in pixels.
        text: Runs of white space become one space.
        font: The font.
        colour: The colour, as Pillow takes it.
        width: Maximum width in pixels.
    """
    line = "".join(_drawable(character) for character in " ".join(text.split()))
    ImageDraw.Draw(sheet).text(at, _cut_to_width(line, font, width), colour, font)


@cache
def _drawable(character: str) -> str:
    if _has_glyph(character):
        return character
    if character in DASHES:
        return "-"
    plain = unicodedata.normalize("NFKD", character)[0]
    return plain if plain != character and _has_glyph(plain) else "?"


def _has_glyph(character: str) -> bool:
    font = ImageFont.load_default(LABEL_SIZE)
    return bytes(font.getmask(character)) != bytes(font.getmask(NO_CHARACTER))


def _cut_to_width(text: str, font: Font, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    text = text[:width]  # every character is at least one pixel wide
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"
