"""One picture of many: an image, the captions that it has, and those that its vector is nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageFont

from mm_milvus.render.contact_sheet import (
    FAINT,
    GAP,
    INK,
    MARGIN,
    THUMBNAIL,
    Font,
    thumbnail,
    write_line,
)

COLUMNS = 2
TEXT_WIDTH = 360
SCORE_WIDTH = 48
LINE = 19
TEXT_SIZE = 13
RIGHT = "#2b8a3e"
CELL_WIDTH = THUMBNAIL + GAP + TEXT_WIDTH


@dataclass(frozen=True, slots=True)
class Captioned:
    """An image with captions and their cosines: its own, and the best of all."""

    picture: Image.Image
    true: list[tuple[float, str]]
    best: list[tuple[float, str]]


def caption_sheet(cells: Sequence[Captioned]) -> Image.Image:
    """Lay images out on white, RGB, two in a row; a best caption that is one's own is green."""
    font = ImageFont.load_default(TEXT_SIZE)
    down = -(-len(cells) // COLUMNS)
    width = COLUMNS * (CELL_WIDTH + GAP) - GAP + 2 * MARGIN
    height = max(1, down) * (THUMBNAIL + GAP) - GAP + 2 * MARGIN
    sheet = Image.new("RGB", (width, height), "white")
    for number, cell in enumerate(cells):
        left = MARGIN + number % COLUMNS * (CELL_WIDTH + GAP)
        top = MARGIN + number // COLUMNS * (THUMBNAIL + GAP)
        sheet.paste(thumbnail(cell.picture), (left, top))
        _write_captions(sheet, (left + THUMBNAIL + GAP, top), cell, font)
    return sheet


def _write_captions(sheet: Image.Image, at: tuple[int, int], cell: Captioned, font: Font) -> None:
    left, top = at
    own = {caption for _, caption in cell.true}
    title = cell.true[0][1] if cell.true else "no caption"
    write_line(sheet, (left, top), title, font, INK if cell.true else FAINT, TEXT_WIDTH)
    for place, (score, caption) in enumerate(cell.best, start=1):
        colour = RIGHT if caption in own else FAINT
        down = top + LINE * place + 6
        write_line(sheet, (left, down), f"{score:.3f}", font, colour, SCORE_WIDTH)
        after = (left + SCORE_WIDTH, down)
        write_line(sheet, after, caption, font, colour, TEXT_WIDTH - SCORE_WIDTH)
