"""Keeps a token that was given as an option out of the list of processes."""

from __future__ import annotations

import os
import sys

TOKEN, TOKEN_VARIABLE = "--token", "MM_MILVUS_TOKEN"


def hide_token() -> None:
    """Start the program again with the token in the environment, if it was given as an option.

    The arguments of a process are visible to every user of the machine; its environment is not.
    On Windows, which cannot replace a process, nothing happens.
    """
    rest, token = split_token(sys.argv[1:])
    if token is None or os.name != "posix":
        return
    program = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    environment = {**os.environ, TOKEN_VARIABLE: token}
    os.execve(sys.executable, [*program, *rest], environment)  # noqa: S606 - this same program


def split_token(arguments: list[str]) -> tuple[list[str], str | None]:
    """Return the arguments without `--token X` and `--token=X`, and the last token."""
    rest: list[str] = []
    token = None
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, value = argument.partition("=")
        if argument == "--":
            return [*rest, argument, *remaining], token
        if name != TOKEN:
            rest.append(argument)
        elif equals:
            token = value
        elif (following := next(remaining, None)) is None:
            return arguments, None
        else:
            token = following
    return rest, token
