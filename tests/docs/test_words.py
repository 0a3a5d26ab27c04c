"""The word list finds what it lists, also where a phrase is broken over two lines."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
from markdown_blocks import ROOT

CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["codespell"]
WORDS = re.compile(CONFIGURATION["regex"])
PHRASES = [
    line.partition("->")[0]
    for line in (ROOT / ".codespell-phrases.txt").read_text("utf-8").splitlines()
]

NOT_PROSE = re.compile(
    r"\.(?:png|svg|safetensors|jsonl)$|LICENSE|tokenizer\.json|words\.txt|\.codespell-phrases\.txt"
    r"|pyproject\.toml|tests/docs/test_words\.py"
)
LINE_BREAK = re.compile(r"\n\s*(?:#:?\s+|//\s+|\*\s+|>\s+)?")
SEPARATE = re.compile(r"\n\s*\n|\n\s*[|\-]")


@pytest.mark.parametrize("phrase", PHRASES)
def test_every_listed_phrase_is_found_as_a_whole(phrase):
    assert phrase in [match.group() for match in WORDS.finditer(f"This is {phrase}, is it not?")]


def files() -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listing.stdout.splitlines() if not NOT_PROSE.search(name)]


def test_no_phrase_is_broken_over_two_lines():
    broken = []
    phrases = {phrase for phrase in PHRASES if " " in phrase}
    for name in files():
        for paragraph in SEPARATE.split((ROOT / name).read_text(encoding="utf-8")):
            joined = LINE_BREAK.sub(" ", paragraph)
            matches = {match.group().lower() for match in WORDS.finditer(joined)}
            broken += [f"{name}: {phrase}" for phrase in matches & phrases]
    assert broken == []
