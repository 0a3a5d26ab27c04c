"""One picture of many: a titled row a question, a labelled thumbnail an answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont, ImageOps

from mm_milvus.render.paper import on_white

THUMBNAIL = 128
GAP = 16
MARGIN = 24
TITLE_SIZE, LABEL_SIZE = 18, 12
TITLE_HEIGHT, LABEL_HEIGHT = 32, 20
ROW_HEIGHT = TITLE_HEIGHT + THUMBNAIL + LABEL_HEIGHT
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"
NO_CHARACTER = "\uffff"
INK, FAINT, FRAME = "#16181d", "#5b6270", "#e4e7ec"

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def contact_sheet(rows: Sequence[tuple[str, Sequence[tuple[Image.Image, str]]]]) -> Image.Image:
    """Lay rows of pictures out on white, RGB; of each row, its title and (picture, label) pairs.

    Every picture is fitted into 128 x 128 pixels, whole; a title or a label that is too long
    for its place is cut with an ellipsis. Pillow's own font has few letters beyond ASCII: a letter
    that it lacks is drawn without its accent, any other sign as "?".
    """
    columns = max((len(pictures) for _, pictures in rows), default=0)
    across = max(columns, 1) * (THUMBNAIL + GAP) - GAP
    down = max(len(rows), 1) * (ROW_HEIGHT + GAP) - GAP
    sheet = Image.new("RGB", (across + 2 * MARGIN, down + 2 * MARGIN), "white")
    title_font = ImageFont.load_default(TITLE_SIZE)
    for number, (title, pictures) in enumerate(rows):
        top = MARGIN + number * (ROW_HEIGHT + GAP)
        write_line(sheet, (MARGIN, top), title, title_font, INK, across)
        _draw_row(sheet, top + TITLE_HEIGHT, pictures)
    return sheet


def _draw_row(sheet: Image.Image, top: int, pictures: Sequence[tuple[Image.Image, str]]) -> None:
    font = ImageFont.load_default(LABEL_SIZE)
    for column, (picture, label) in enumerate(pictures):
        left = MARGIN + column * (THUMBNAIL + GAP)
        sheet.paste(thumbnail(picture), (left, top))
        write_line(sheet, (left, top + THUMBNAIL + 4), label, font, FAINT, THUMBNAIL)


def thumbnail(picture: Image.Image) -> Image.Image:
    """The picture whole on a framed white tile of 128 x 128 pixels."""
    tile = ImageOps.pad(on_white(picture), (THUMBNAIL, THUMBNAIL), color="white")
    ImageDraw.Draw(tile).rectangle((0, 0, THUMBNAIL - 1, THUMBNAIL - 1), outline=FRAME)
    return tile


def write_line(
    sheet: Image.Image, at: tuple[int, int], text: str, font: Font, colour: str, width: int
) -> None:
    """Write one line, cut to the width in pixels with an ellipsis."""
    line = "".join(_drawable(sign) for sign in " ".join(text.split()))
    ImageDraw.Draw(sheet).text(at, _fitted(line, font, width), colour, font)


@cache
def _drawable(sign: str) -> str:
    if _has_glyph(sign):
        return sign
    if sign in DASHES:
        return "-"
    plain = unicodedata.normalize("NFKD", sign)[0]
    return plain if plain != sign and _has_glyph(plain) else "?"


def _has_glyph(sign: str) -> bool:
    font = ImageFont.load_default(LABEL_SIZE)
    return bytes(font.getmask(sign)) != bytes(font.getmask(NO_CHARACTER))


def _fitted(text: str, font: Font, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"
