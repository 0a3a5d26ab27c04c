"""One picture of several images, each with its captions and the captions nearest to its vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageFont

from mm_milvus.render.contact_sheet import (
    GAP,
    MARGIN,
    THUMBNAIL,
    Font,
    make_thumbnail,
    write_line,
)
from mm_milvus.render.style import FAINT, INK

COLUMNS = 2
TEXT_WIDTH = 360
SCORE_WIDTH = 48
LINE_HEIGHT = 19
TEXT_SIZE = 13
RIGHT = "#2b8a3e"
CELL_WIDTH = THUMBNAIL + GAP + TEXT_WIDTH


@dataclass(frozen=True, slots=True)
class CaptionedImage:
    """An image with captions and their cosines, -1 to 1.

    Attributes:
        picture: The image.
        own: The captions that it has.
        nearest: Of all captions, those of the largest cosine, in descending order.
    """

    picture: Image.Image
    own: list[tuple[float, str]]
    nearest: list[tuple[float, str]]


def caption_sheet(images: Sequence[CaptionedImage]) -> Image.Image:
    """Lay images out on white, RGB, two per row, with their nearest captions.

    The first line of an image is its own first caption. A nearest caption that is its own is green.
    """
    font = ImageFont.load_default(TEXT_SIZE)
    rows = -(-len(images) // COLUMNS)
    width = COLUMNS * (CELL_WIDTH + GAP) - GAP + 2 * MARGIN
    height = max(1, rows) * (THUMBNAIL + GAP) - GAP + 2 * MARGIN
    sheet = Image.new("RGB", (width, height), "white")
    for number, image in enumerate(images):
        left = MARGIN + number % COLUMNS * (CELL_WIDTH + GAP)
        top = MARGIN + number // COLUMNS * (THUMBNAIL + GAP)
        sheet.paste(make_thumbnail(image.picture), (left, top))
        _write_captions(sheet, (left + THUMBNAIL + GAP, top), image, font)
    return sheet


def _write_captions(
    sheet: Image.Image, at: tuple[int, int], image: CaptionedImage, font: Font
) -> None:
    left, top = at
    own = {caption for _, caption in image.own}
    title = image.own[0][1] if image.own else "no caption"
    write_line(sheet, (left, top), title, font, INK if image.own else FAINT, TEXT_WIDTH)
    for line, (cosine, caption) in enumerate(image.nearest, start=1):
        colour = RIGHT if caption in own else FAINT
        y = top + LINE_HEIGHT * line + 6
        write_line(sheet, (left, y), f"{cosine:.3f}", font, colour, SCORE_WIDTH)
        write_line(sheet, (left + SCORE_WIDTH, y), caption, font, colour, TEXT_WIDTH - SCORE_WIDTH)
