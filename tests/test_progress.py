"""Progress on stderr: which form it takes, what it shows, and that it never ends a call."""

from __future__ import annotations

import io
import subprocess
import sys
import time

import pytest

from mm_milvus import IngestOptions, ingest
from mm_milvus.progress import print_line, show_progress, write_stderr


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def shown(monkeypatch, mode, stream, interval=0.01) -> str:
    """Return what a block with two updates writes to a stream."""
    monkeypatch.setattr(sys, "stderr", stream)
    with show_progress(mode, unit="items", total=5, interval=interval) as progress:
        progress.update(2)
        progress.set_counts(rejected=1, skipped=1_000)
        deadline = time.monotonic() + 5
        while mode == "log" and not stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        progress.update(3)
    return stream.getvalue()


def test_without_a_terminal_there_are_lines_at_intervals(monkeypatch):
    lines = shown(monkeypatch, "log", io.StringIO()).splitlines()
    assert lines
    assert lines[0].startswith("2 of 5 items, ")
    assert ", 1 rejected, 1,000 skipped, 0 s" in lines[0]


def test_a_short_call_prints_no_line(monkeypatch):
    assert shown(monkeypatch, "auto", io.StringIO(), interval=60) == ""
    assert shown(monkeypatch, True, io.StringIO(), interval=60) == ""


def test_a_terminal_has_a_bar(monkeypatch):
    for mode in ("auto", "bar", True):
        assert "5/5" in shown(monkeypatch, mode, Terminal())


@pytest.mark.parametrize("mode", ["none", False])
def test_none_shows_nothing(monkeypatch, mode):
    assert shown(monkeypatch, mode, Terminal()) == ""


@pytest.mark.parametrize("mode", ["auto", "bar", "none"])
def test_a_broken_or_closed_stream_never_ends_a_call(monkeypatch, mode):
    assert shown(monkeypatch, mode, Broken()) == ""
    monkeypatch.setattr(sys, "stderr", None)
    with show_progress(mode, unit="items") as progress:
        progress.update()
    print_line(mode, "a line")
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    with show_progress(mode, unit="items") as progress:
        progress.update()
    write_stderr("a line")


def test_the_library_shows_nothing_unless_asked_to(folder, tmp_path, capsys):
    ingest(folder, store=str(tmp_path / "quiet.db"))
    assert capsys.readouterr().err == ""
    ingest(folder, store=str(tmp_path / "bar.db"), options=IngestOptions(progress="bar"))
    assert "items" in capsys.readouterr().err


def test_a_command_with_a_closed_stderr_prints_errors_nowhere_and_keeps_its_code(tmp_path):
    main = "from mm_milvus.cli.app import main; main()"
    command = f'"{sys.executable}" -c "{main}" ingest nowhere 2>&-'
    result = subprocess.run(command, shell=True, capture_output=True, cwd=tmp_path, check=False)
    assert (result.returncode, result.stdout) == (2, b"")
