"""Commands whose help is plain text: nothing in it is markup, so every sentence stays as written.

Typer's own pages import rich.markdown and pydantic, which takes longer than all the rest of
`--help`, and show `:KEY:` as an emoji.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mm_milvus.cli.messages import CODE, argument_name, is_argument, name_options, option_names
from mm_milvus.errors import MmMilvusError

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter, Parameter

MAX_WIDTH = 100
NAME_COLUMN = 26
"""Widest name of an option whose description starts on the same line."""

MARGIN = "  "
EXAMPLE = " " * 4
"""What the lines of an example start with; they are not wrapped."""

TYPE_NAMES = {"int": "INT", "float": "NUMBER", "Path": "PATH", "str": "TEXT"}

NO_BREAK = "\N{NO-BREAK SPACE}"

Row = tuple[str, str]
"""The name of an option, argument or command, and its description."""


class PlainHelp:
    """Replaces the help page of a Typer command or group.

    Panels become sections. Each option shows its values, default and environment variable.
    """

    def format_help(self: Any, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the page."""
        formatter.write("\n".join(_page(self, ctx, formatter.width)) + "\n")

    def get_params(self: Any, ctx: Context) -> list[Parameter]:
        """Return the parameters, with a default for every flag.

        Typer imports pydantic to check a flag without one, `--help` included.
        """
        params: list[Parameter] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False) and param.default is None:
                param.default = False
        return params


class Command(PlainHelp, TyperCommand):
    """A command, whose errors name its own options."""

    def invoke(self, ctx: Context) -> Any:
        """Run the command; the message of an error names parameters as options of the command.

        A verb of the library, such as `encode`, is named as its command.
        """
        try:
            return super().invoke(ctx)
        except MmMilvusError as error:
            root = ctx.find_root()
            verbs = getattr(root.command, "commands", {})
            names = {verb: f"{root.info_name} {verb}" for verb in verbs}
            error.args = (name_options(str(error), names | option_names(self.params)),)
            raise


class Group(PlainHelp, TyperGroup):
    """A group of commands; without one, it prints its help and exits with 2."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse the options of the group."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            ctx.exit(2)
        return super().parse_args(ctx, args)


def _page(command: Any, ctx: Context, width: int) -> Iterator[str]:
    usage = " ".join([ctx.command_path, *_usage_pieces(command, ctx)])
    yield from _wrapped(usage, width, hanging=len("Usage: "), prefix=_heading("Usage:") + " ")
    yield ""
    yield from help_lines(command.help or "", width)
    for title, rows in _sections(command, ctx):
        yield ""
        yield _heading(f"{title}:")
        yield from _table(rows, width)


def _usage_pieces(command: Any, ctx: Context) -> Iterator[str]:
    if any(not is_argument(param) for param in command.get_params(ctx)):
        yield "[OPTIONS]"
    for param in command.params:
        if is_argument(param):
            name = _names(param)
            yield name if param.required else f"[{name}]"
    if getattr(command, "commands", None):
        yield "COMMAND [ARGS]..."


def help_lines(text: str, width: int) -> Iterator[str]:
    """Yield the paragraphs of a text, wrapped; the lines of examples are left unchanged."""
    for number, block in enumerate(re.split(r"\n\s*\n", text.strip("\n"))):
        if number:
            yield ""
        if block.startswith(EXAMPLE):
            yield from block.splitlines()
        else:
            yield from _wrapped(block, width)


def _sections(command: Any, ctx: Context) -> Iterator[tuple[str, list[Row]]]:
    panels: dict[str, list[Row]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        if not param.hidden:
            default = "Arguments" if is_argument(param) else "Options"
            rows = panels.setdefault(param.rich_help_panel or default, [])
            rows.append((_names(param), _description(param, ctx)))
    yield from ((title, rows) for title, rows in panels.items() if rows)
    if commands := getattr(command, "commands", {}):
        yield "Commands", [(name, _summary(command)) for name, command in commands.items()]


def _names(param: Any) -> str:
    if is_argument(param):
        return argument_name(param) + ("..." if param.nargs != 1 else "")
    names = sorted([*param.opts, *param.secondary_opts], key=len)
    indent = "" if len(names[0]) == 2 else " " * len("-k, ")
    value = "" if param.is_flag else f" {_value(param)}"
    return indent + ", ".join(names) + value


def _value(param: Any) -> str:
    """What an option accepts: its metavar, its choices, or its type."""
    if param.metavar is not None:
        return str(param.metavar)
    descriptor = param.type_descriptor
    if descriptor.choices is not None:
        return "|".join(map(str, descriptor.choices))
    kind = str(param.bare_type()).removeprefix("list[").removesuffix("]")
    return TYPE_NAMES.get(kind, kind.upper())


def _description(param: Any, ctx: Context) -> str:
    """The help of a parameter, then in brackets what the declaration says."""
    notes = []
    if getattr(param, "multiple", False):
        notes.append("repeatable")
    if param.required:
        notes.append("required")
    elif default := _default(param, ctx):
        notes.append(f"default: {default}")
    if param.envvar:
        notes.append(f"env: {param.envvar}")
    # A note is not broken between lines.
    shown = [f"[{note}]".replace(" ", NO_BREAK) for note in notes]
    return " ".join([param.help or "", *shown]).strip()


def _default(param: Any, ctx: Context) -> str:
    if isinstance(param.show_default, str):
        return param.show_default
    value = param.get_default(ctx, call=False)
    if not param.show_default or value is False or value in (None, (), [], ""):
        return ""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _summary(command: Any) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())


def _table(rows: list[Row], width: int) -> Iterator[str]:
    """Two columns; a name that is too long for the first has its description below."""
    column = min(NAME_COLUMN, max(len(name) for name, _ in rows))
    margin = len(MARGIN) * 2 + column
    for name, description in rows:
        first = f"{MARGIN}{_option(name)}"
        if len(name) > column or not description:
            yield first
            if description:
                yield from _wrapped(description, width, hanging=margin, prefix=" " * margin)
        else:
            first += " " * (margin - len(MARGIN) - len(name))
            yield from _wrapped(description, width, hanging=margin, prefix=first)


def _wrapped(text: str, width: int, *, hanging: int = 0, prefix: str = "") -> list[str]:
    """Lines of at most `width`; the first after the prefix, the others indented alike."""
    lines = textwrap.wrap(
        re.sub(r"[ \n]+", " ", plain(text)),
        max(width - hanging, 20),
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [
        (" " * hanging if number else prefix) + line.replace(NO_BREAK, " ")
        for number, line in enumerate(lines)
    ]


def plain(text: str) -> str:
    """Return a text without its backticks, which mark code in the reference page."""
    return CODE.sub(r"\1", text)


def _heading(text: str) -> str:
    return text if "NO_COLOR" in os.environ else typer.style(text, bold=True)


def _option(text: str) -> str:
    return text if "NO_COLOR" in os.environ else typer.style(text, fg=typer.colors.CYAN)
