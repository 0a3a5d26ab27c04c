"""The contact sheet: positions of its parts, and that nothing exceeds its place."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mm_milvus.render.contact_sheet import contact_sheet

BLUE = Image.new("RGB", (300, 300), (0, 0, 255))
GAP, MARGIN, ROW, THUMBNAIL = 16, 24, 180, 128


@pytest.mark.parametrize(
    ("lengths", "columns"), [([1], 1), ([3, 5, 2], 5), ([0], 1), ([], 1), ([4] * 6, 4)]
)
def test_the_sheet_is_as_large_as_its_pictures_need(lengths, columns):
    sheet = contact_sheet([("title", [(BLUE, "label")] * length) for length in lengths])
    rows = max(len(lengths), 1)
    assert sheet.mode == "RGB"
    assert sheet.size == (
        2 * MARGIN + columns * (THUMBNAIL + GAP) - GAP,
        2 * MARGIN + rows * (ROW + GAP) - GAP,
    )


def test_every_picture_is_in_its_place():
    colours = [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 0)]]
    rows = [("t", [(Image.new("RGB", (50, 50), c), "l") for c in row]) for row in colours]
    sheet = contact_sheet(rows)
    for down, row in enumerate(colours):
        for across, colour in enumerate(row):
            x = MARGIN + across * (THUMBNAIL + GAP) + THUMBNAIL // 2
            y = MARGIN + down * (ROW + GAP) + 32 + THUMBNAIL // 2
            assert sheet.getpixel((x, y)) == colour


def test_a_long_picture_is_shown_whole_on_white():
    sheet = contact_sheet([("", [(Image.new("RGB", (400, 100), (0, 0, 255)), "")])])
    column = np.asarray(sheet)[MARGIN + 32 + 1 : MARGIN + 32 + THUMBNAIL - 1, MARGIN + 64]
    blue = (column == (0, 0, 255)).all(axis=1)
    assert blue.sum() == 32
    assert (column[~blue] == 255).all()


def test_a_transparent_picture_is_put_on_white():
    sheet = contact_sheet([("", [(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), "")])])
    assert sheet.getpixel((MARGIN + 64, MARGIN + 32 + 64)) == (255, 255, 255)


def test_margins_and_gaps_stay_white_under_the_longest_texts():
    sheet = contact_sheet([("a title " * 50, [(BLUE, "a label " * 50)] * 2)] * 2)
    pixels = np.asarray(sheet)
    for band in (pixels[:MARGIN], pixels[-MARGIN:], pixels[:, :MARGIN], pixels[:, -MARGIN:]):
        assert (band == 255).all()
    under = MARGIN + 32 + THUMBNAIL
    gap = pixels[under : under + 20, MARGIN + THUMBNAIL : MARGIN + THUMBNAIL + GAP]
    assert (gap == 255).all()


@pytest.mark.parametrize(
    ("text", "replacement"), [("für Äpfel", "fur Apfel"), ("a — b", "a - b"), ("日本", "??")]
)
def test_letters_that_the_font_lacks_are_replaced(text, replacement):
    assert contact_sheet([(text, [])]).tobytes() == contact_sheet([(replacement, [])]).tobytes()


def test_texts_of_several_lines_become_one():
    single = contact_sheet([("a b", [(BLUE, "c d")])])
    assert contact_sheet([("a\n b\t", [(BLUE, "c\r\nd")])]).tobytes() == single.tobytes()
