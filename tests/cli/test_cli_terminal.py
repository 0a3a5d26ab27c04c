"""The table of hits: the width that there is, chosen columns, links; and text that stays text."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import unicodedata
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from mm_milvus.cli.hits import print_explanation, print_hits
from mm_milvus.cli.output import print_json
from mm_milvus.render.terminal import shows_links
from mm_milvus.search.hits import ExplainedPlace, Explanation, Hit, ListScore
from mm_milvus.text import visible

ESCAPES = "\x1b]8;;http://evil\x1b\\x\x1b[2J\x9b31m\r\b\a\u202eabc\u2066\u2028\ufeff\ud800\n\t"
PLACE = ListScore(0.5, 1)
SGR = re.compile(r"\x1b\[[0-9;]*m")


def hit(item_id="a.png", caption="a caption", **fields) -> Hit:
    return Hit(item_id, "", 1.0, caption=caption, image=PLACE, text=PLACE, **fields)


def printed(call, *arguments, width: int = 100) -> str:
    """Return what a call prints where the output is no terminal, COLUMNS wide."""
    output = StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setattr("sys.stdout", output)
        call(*arguments)
    return output.getvalue()


def harmful(text: str) -> set[str]:
    """Return the characters that a terminal acts upon, or that change the order of a line."""
    return {
        character
        for character in text
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in ("LRE", "RLE", "PDF", "LRO", "RLO")
        or unicodedata.bidirectional(character) in ("LRI", "RLI", "FSI", "PDI", "BN")
    } - {"\u200c", "\u200d"}


TEXTS = st.text(st.one_of(st.sampled_from(ESCAPES), st.characters()), max_size=60)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_text_from_outside_is_never_obeyed_by_the_terminal(text):
    assert not harmful(visible(text)) - {c for c in text if 0xE0000 <= ord(c) <= 0xE0FFF}
    found = hit(text, text, metadata={"k": text, text: [text]})
    places = {"image": ExplainedPlace(0.5, 1, 0.5)}
    for output in (
        printed(print_hits, [found], ["k", text]),
        printed(print_explanation, Explanation([found], "pnorm", [places], 1, {"s": 1.0})),
        printed(print_json, found.to_dict()),
    ):
        assert harmful(output) <= {"\n"} | {c for c in text if 0xE0000 <= ord(c) <= 0xE0FFF}
    assert json.loads(printed(print_json, found.to_dict())) == found.to_dict()


def test_emoji_and_scripts_are_printed_unchanged():
    for text in ("👩‍🚀 👍🏽 ❤️", "می‌خواهم", "नमस्ते", "ナイキ", "é é"):
        assert visible(text) == text
    assert visible("a\x1b[31m\n\u202e") == r"a\x1b[31m\n\u202e"


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(60, 300),
    ids=st.lists(st.text("abc/日本", min_size=1, max_size=90), min_size=1, max_size=4),
    caption=st.text("word 日本", max_size=400),
    price=st.text("123 €", max_size=60),
)
def test_the_table_fits_the_width_and_cuts_captions_before_ids(width, ids, caption, price):
    hits = [hit(item_id, caption, metadata={"price": price}) for item_id in ids]
    output = printed(print_hits, hits, ["price"], width=width)
    lines = output.splitlines()
    assert all(cell_len(line.rstrip()) <= width for line in lines)
    widest = max(map(cell_len, ids))
    # 48: scores, places, gaps, and the least of a price and a caption.
    if widest <= width - 61:
        assert all(any(item_id in line for line in lines) for item_id in ids)
    elif "…" not in output:
        assert cell_len(caption) <= 10


def test_a_wide_terminal_shows_the_whole_caption_and_a_narrow_one_the_whole_id():
    found = hit("a/long/path/of/a/picture.png", "many words " * 12)
    assert found.caption.strip() in printed(print_hits, [found], width=250)
    narrow = printed(print_hits, [found], width=80)
    assert found.item_id in narrow
    assert "…" in narrow


def test_chosen_metadata_is_shown_in_the_order_of_the_keys():
    metadata = {"price": 9, "tags": ["a", "b"], "dc": {"creator": "Ann"}, "a.b": "dotted"}
    keys = ["dc.creator", "price", "a.b", "tags", "none"]
    head, _, row = printed(print_hits, [hit(metadata=metadata)], keys, width=200).split("\n")[1:4]
    assert head.split() == ["#", "score", "item", *keys, "caption", "image", "text"]
    values = ["Ann", "9", "dotted", '["a", "b"]', "—"]
    assert re.split(r"\s{2,}", row.strip())[2:8] == ["a.png", *values]


KNOWN = [
    {"TERM": "xterm-kitty"},
    {"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"},
    {"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"},
    {"TERM": "xterm-256color", "VTE_VERSION": "7006"},
    {"TERM": "xterm-256color", "WT_SESSION": "x"},
    {"TERM": "foot-extra"},
]


def test_links_are_for_terminals_that_know_them():
    for environ in KNOWN:
        assert shows_links(environ, isatty=True)
        assert not shows_links(environ, isatty=False)
        assert not shows_links({**environ, "NO_COLOR": "1"}, isatty=True)
        assert not shows_links({**environ, "TERM": "dumb"}, isatty=True)
        assert not shows_links({**environ, "TMUX": "/tmp/tmux"}, isatty=True)
    for environ in ({}, {"TERM": "linux"}, {"TERM": "xterm"}, {"VTE_VERSION": "4999"}):
        assert not shows_links(environ, isatty=True)
    assert not shows_links({"VTE_VERSION": "new"}, isatty=True)


def on_a_terminal(program: Path, *arguments: object, columns: int, **environment: str) -> str:
    """Return what a command prints on a terminal of some width."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    names = ("COLORTERM", "COLUMNS", "NO_COLOR", "TERM_PROGRAM", "TMUX", "VTE_VERSION")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    command = [program, *map(str, arguments)]
    child = subprocess.Popen(command, stdin=far, stdout=far, env={**clean, **environment})
    os.close(far)
    output = b""
    with suppress(OSError):  # the other end is closed
        while data := os.read(near, 65536):
            output += data
    os.close(near)
    assert child.wait(60) == 0
    return output.decode()


def test_on_a_terminal_items_link_to_their_files(run, pictures, program, tmp_path):
    assert run("ingest", pictures, "--uri", tmp_path / "x.db", "--no-progress").returncode == 0
    query = ("query", "dog", "--uri", tmp_path / "x.db", "-k", 2)
    plain = on_a_terminal(program, *query, columns=90, TERM="xterm-256color")
    assert "\x1b]8;" not in plain
    assert max(len(SGR.sub("", line).rstrip()) for line in plain.splitlines()) <= 90
    linked = on_a_terminal(program, *query, columns=90, TERM="xterm-256color", VTE_VERSION="7006")
    assert f"file://{pictures}/dog.png\x1b\\dog.png" in linked
    assert "\x1b]8;" not in run(*query, TERM="xterm-256color", VTE_VERSION="7006").stdout
