"""The commands of the program, for tests of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from mm_milvus.cli.app import app


def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield a command or group and, below a group, its commands, with their full names."""
    yield name, command
    for short_name, subcommand in getattr(command, "commands", {}).items():
        yield from walk(subcommand, f"{name} {short_name}".strip())


COMMANDS = dict(walk(typer.main.get_command(app), ""))
"""Each command by its name: "" for the program itself, "datasets drop"."""

LEAVES = {name: command for name, command in COMMANDS.items() if not hasattr(command, "commands")}
"""The commands that do something, without the groups."""
