"""Pictures in a terminal: detection of its protocol, and bytes that decode to the picture."""

from __future__ import annotations

import base64
import io
import re

import pytest
from PIL import Image

from mm_milvus.render.terminal import detect, encode

NOISE = Image.effect_noise((100, 60), 90).convert("RGB")


@pytest.mark.parametrize(
    ("environ", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm", "COLORTERM": "truecolor"}, "iterm2"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "blocks"),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, "blocks"),
        ({"TERM": "xterm-256color", "COLORTERM": "yes"}, None),
        ({"TERM": "xterm-256color"}, None),
        ({}, None),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, None),
        ({"TERM": "xterm-kitty", "NO_COLOR": "1"}, None),
        ({"TERM": "xterm-kitty", "NO_COLOR": ""}, "kitty"),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1", "COLORTERM": "truecolor"}, "blocks"),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default,1,0"}, None),
    ],
)
def test_the_protocol_is_detected_from_the_environment(environ, protocol):
    assert detect(environ, isatty=True) == protocol
    assert detect(environ, isatty=False) is None


def png(data):
    return Image.open(io.BytesIO(base64.standard_b64decode(data))).convert("RGB")


def kitty(text):
    """Return the sequences of a text, as (keys, payload)."""
    assert re.fullmatch(r"(\x1b_G[^;\x1b]*;[A-Za-z0-9+/=]*\x1b\\)+\n", text)
    sequences = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    return [(dict(pair.split("=") for pair in keys.split(",")), data) for keys, data in sequences]


def test_kitty_gets_chunks_that_decode_to_the_picture():
    sequences = kitty(encode(NOISE, "kitty", columns=40))
    first, *others = (keys for keys, _ in sequences)
    assert len(others) > 1
    assert first == {"a": "T", "f": "100", "q": "2", "c": "40", "m": "1"}
    assert others == [{"m": "1"}] * (len(others) - 1) + [{"m": "0"}]
    assert all(len(data) <= 4096 and len(data) % 4 == 0 for _, data in sequences)
    assert png("".join(data for _, data in sequences)).tobytes() == NOISE.tobytes()


def test_a_tiny_picture_is_one_kitty_chunk():
    [(keys, _)] = kitty(encode(Image.new("RGB", (2, 2)), "kitty", columns=4))
    assert keys["m"] == "0"


def test_iterm2_gets_the_picture_inline():
    match = re.fullmatch(
        r"\x1b\]1337;File=inline=1;size=(\d+);width=12:([A-Za-z0-9+/=]+)\a\n",
        encode(NOISE, "iterm2", columns=12),
    )
    assert match
    assert len(base64.b64decode(match[2])) == int(match[1])
    assert png(match[2]).tobytes() == NOISE.tobytes()


@pytest.mark.parametrize("protocol", ["kitty", "iterm2"])
def test_a_large_picture_is_sent_small(protocol):
    large = Image.linear_gradient("L").resize((3000, 2000))
    text = encode(large, protocol, columns=20)
    assert len(text) < 60_000


def cells(text):
    """Return for each line the colours of each cell: (upper, lower)."""
    return [re.findall(r"\x1b\[38;2;([\d;]+);48;2;([\d;]+)m▀", line) for line in text.splitlines()]


def test_blocks_have_two_pixels_per_cell():
    image = Image.new("RGB", (4, 4), (255, 0, 0))
    image.paste((0, 0, 255), (0, 2, 4, 4))
    assert cells(encode(image, "blocks", columns=4)) == [
        [("255;0;0", "255;0;0")] * 4,
        [("0;0;255", "0;0;255")] * 4,
    ]


def test_every_line_of_blocks_ends_without_a_colour():
    lines = encode(NOISE, "blocks", columns=8).splitlines()
    assert all(line.endswith("\x1b[0m") for line in lines)


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1)])
@pytest.mark.parametrize("protocol", ["kitty", "iterm2", "blocks"])
def test_any_shape_and_mode_can_be_shown(protocol, size):
    assert encode(Image.new("RGBA", size), protocol, columns=2).endswith("\n")


def test_a_transparent_picture_is_put_on_white():
    text = encode(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "blocks", columns=2)
    assert cells(text) == [[("255;255;255", "255;255;255")] * 2]


def test_zero_columns_are_rejected():
    with pytest.raises(ValueError, match="columns is 0"):
        encode(NOISE, "blocks", columns=0)
