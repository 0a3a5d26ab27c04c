"""Names of options in messages: the library names a parameter, a user writes an option."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typer._click import Parameter

CODE = re.compile(r"`([^`\n]*)`")
ASSIGNMENT = re.compile(r"(\w+)=(.+)")


def is_argument(param: Parameter) -> bool:
    """Return whether a parameter is written without dashes."""
    return param.param_type_name == "argument"


def argument_name(param: Any) -> str:
    """Return the name of an argument, in capitals."""
    return str(param.metavar or param.name).upper()


def option_names(params: Iterable[Parameter]) -> dict[str, str]:
    """Map the name of each parameter of a command to what a user writes: `--top-k`, `PATH`."""
    return {
        param.name: argument_name(param) if is_argument(param) else max(param.opts, key=len)
        for param in params
    }


def name_options(message: str, names: Mapping[str, str]) -> str:
    """Replace parameters in backticks by the options of a command, and remove other backticks.

    Args:
        message: Such as "index it with both (`add_encoder`)", or "leave it out (`sample=0`)".
        names: What `option_names` returned for the command.

    Returns:
        Such as "index it with both (--add-encoder)", or "leave it out (--sample 0)".
    """

    def written(match: re.Match[str]) -> str:
        code = match[1]
        assignment = ASSIGNMENT.fullmatch(code)
        if assignment and assignment[1] in names:
            value = "" if assignment[2] == "True" else f" {assignment[2]}"
            return names[assignment[1]] + value
        return names.get(code, code)

    return CODE.sub(written, message)
