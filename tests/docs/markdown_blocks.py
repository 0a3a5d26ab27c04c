"""Code blocks of Markdown files, and the shell blocks' commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

MARKER = re.compile(r"\s*<!-- not run: (?P<reason>.+) -->\s*")
FENCE = re.compile(r"(?P<indent> *)```(?P<language>\w*)")
HEREDOC = re.compile(r"<<\s*'?(?P<end>\w+)'?")

RUN_LANGUAGES = ("sh", "python")


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        path: The file, relative to the repository.
        line: Number of the line of the opening fence, from 1.
        language: What follows the opening fence: "sh", "python", "text", or "".
        code: The block without its fences and indentation.
        not_run: The reason of the marker in front of it; None if there is no marker.
    """

    path: str
    line: int
    language: str
    code: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    """Yield the code blocks of a Markdown file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    reason, number = None, 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if fence := FENCE.match(line):
            start, indent = number, len(fence["indent"])
            while lines[number].strip() != "```":
                number += 1
            code = "\n".join(content[indent:] for content in lines[start:number])
            yield Block(str(path.relative_to(ROOT)), start, fence["language"], code, reason)
            number += 1
            reason = None
        elif marker := MARKER.fullmatch(line):
            reason = marker["reason"]
        elif line.strip():
            reason = None


def shell_commands(code: str) -> Iterator[str]:
    """Yield the commands of a shell block; continued lines and here-documents are one command."""
    lines = iter(code.splitlines())
    for line in lines:
        command = line
        while command.endswith("\\"):
            command = command[:-1] + next(lines)
        if heredoc := HEREDOC.search(line):
            for following in lines:
                command += "\n" + following
                if following == heredoc["end"]:
                    break
        if command.strip() and not command.lstrip().startswith("#"):
            yield command
