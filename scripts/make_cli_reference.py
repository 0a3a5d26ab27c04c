"""Write docs/reference/cli.md from the commands, options and help texts of the command line.

python -m scripts.make_cli_reference           # write it
python -m scripts.make_cli_reference --check   # fail if it is not up to date (make lint)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer

from mm_milvus.cli.app import app
from mm_milvus.cli.messages import argument_name, is_argument

TARGET = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"
PROGRAM = "mm-milvus"

HEADER = """\
# Command line

<!-- Written by python -m scripts.make_cli_reference; `make lint` fails if it is out of date. -->

`mm-milvus COMMAND --help` shows the same on the terminal. Options are written as `--option VALUE`;
flags have no value. [Configuration](configuration.md) lists environment variables and exit codes.
"""

TYPE_NAMES = {str: "TEXT", int: "INT", float: "NUMBER", Path: "PATH"}


def reference() -> str:
    """The whole page, in Markdown."""
    root = typer.main.get_command(app)
    sections = [HEADER, *overview(root), *option_tables(root)]
    for name, command in commands(root):
        sections += command_section(name, command)
    return "\n\n".join(section.strip() for section in sections) + "\n"


def commands(command: Any, name: str = PROGRAM) -> Iterator[tuple[str, Any]]:
    """Yield the visible commands below a group with their full names, in the order of the help."""
    for short_name, subcommand in getattr(command, "commands", {}).items():
        if subcommand.hidden:
            continue
        full_name = f"{name} {short_name}"
        yield full_name, subcommand
        yield from commands(subcommand, full_name)


def overview(root: Any) -> list[str]:
    """A table of all commands, each with the first line of its help."""
    rows = ["| command | |", "|---|---|"]
    for name, command in commands(root):
        if not getattr(command, "commands", None):
            summary = paragraphs(command.help)[0]
            rows.append(f"| [`{name}`](#{anchor(name)}) | {cell(summary)} |")
    return ["\n".join(rows)]


def command_section(name: str, command: Any) -> list[str]:
    """The heading, help, usage and option tables of one command or group."""
    heading = f"## {name} {{ #{anchor(name)} }}"
    if getattr(command, "commands", None):
        return [heading, help_text(command.help)]
    arguments = [param for param in command.params if is_argument(param)]
    usage = " ".join([name, "[OPTIONS]", *(argument_usage(param) for param in arguments)])
    return [heading, f"```text\n{usage}\n```", help_text(command.help), *option_tables(command)]


def option_tables(command: Any) -> list[str]:
    """One Markdown table per help panel, arguments first."""
    panels: dict[str, list[Any]] = {}
    for param in command.params:
        if not param.hidden and param.name != "help":
            panel = param.rich_help_panel or ("Arguments" if is_argument(param) else "Options")
            panels.setdefault(panel, []).append(param)
    order = sorted(panels, key=lambda panel: (panel != "Arguments", panel != "Options"))
    return [table(panel, panels[panel]) for panel in order]


def table(panel: str, params: list[Any]) -> str:
    """The table of one panel: name, value, default, description."""
    rows = [f"| {panel} | value | default | |", "|---|---|---|---|"]
    rows += [
        f"| {names(param)} | {cell(value(param))} | {cell(default(param))} | {description(param)} |"
        for param in params
    ]
    return "\n".join(['<div class="mm-options" markdown>\n', *rows, "\n</div>"])


def names(param: Any) -> str:
    """The names of an option, or the metavar of an argument."""
    if is_argument(param):
        return f"`{argument_name(param)}`"
    return ", ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])


def argument_usage(param: Any) -> str:
    """An argument in the usage line: in brackets if optional, with dots if repeatable."""
    name = argument_name(param) + ("..." if param.nargs == -1 else "")
    return name if param.required else f"[{name}]"


def value(param: Any) -> str:
    """What a parameter accepts: its choices, its metavar or its type; empty for a flag."""
    if getattr(param, "is_flag", False):
        return ""
    choices, kind = value_type(param.type_descriptor.annotation)
    if choices:
        shown = " | ".join(f"`{choice}`" for choice in choices)
    else:
        shown = "" if is_argument(param) else str(param.metavar or TYPE_NAMES.get(kind, "TEXT"))
    return f"{shown}, repeatable" if getattr(param, "multiple", False) else shown


def value_type(annotation: Any) -> tuple[tuple[str, ...], Any]:
    """The choices of a `Literal` annotation and its plain type, inside of optionals and lists."""
    origin = get_origin(annotation)
    if origin is Literal:
        return get_args(annotation), str
    if origin in (Union, UnionType, list, tuple):
        inner = [arg for arg in get_args(annotation) if arg not in (type(None), Ellipsis)]
        return value_type(inner[0])
    return (), annotation


def default(param: Any) -> str:
    """The default value; empty if there is none or it is hidden."""
    if param.required:
        return "required"
    if isinstance(param.show_default, str):
        return param.show_default
    shown = param.default() if callable(param.default) else param.default
    if shown in (None, False, (), []) or not param.show_default:
        return ""
    if isinstance(shown, list | tuple):
        shown = ",".join(map(str, shown))
    return f"`{shown}`"


def description(param: Any) -> str:
    """The help text, and the environment variable that replaces the option."""
    variable = f" Environment: `{param.envvar}`." if param.envvar else ""
    return cell(help_text(param.help or "") + variable)


def help_text(text: str | None) -> str:
    """Help as Markdown: indented examples become one fenced block."""
    return "\n\n".join(fenced(paragraphs(text)))


def fenced(blocks: list[str]) -> Iterator[str]:
    """Paragraphs, with runs of indented ones joined into one `sh` block."""
    code: list[str] = []
    for block in [*blocks, ""]:
        if block.startswith("    "):
            code += [line.removeprefix("    ") for line in block.splitlines()]
            continue
        if code:
            yield "```sh\n" + "\n".join(code) + "\n```"
            code = []
        if block:
            yield block


def paragraphs(text: str | None) -> list[str]:
    """The paragraphs of a help text."""
    return [block.rstrip() for block in (text or "").split("\n\n") if block.strip()]


def anchor(name: str) -> str:
    """The anchor of a command: its name with dashes."""
    return name.replace(" ", "-")


def cell(text: str) -> str:
    """Text for a table cell: one line, with pipes and angle brackets escaped."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def main() -> None:
    """Read the command line; write or compare the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    page = reference()
    if not parser.parse_args().check:
        TARGET.write_text(page, encoding="utf-8")
    elif page != TARGET.read_text(encoding="utf-8"):
        sys.exit(f"{TARGET} is out of date: run python -m scripts.make_cli_reference")


if __name__ == "__main__":
    main()
