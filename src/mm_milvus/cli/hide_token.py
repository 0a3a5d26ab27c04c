"""Secrets on the command line, where every user of the machine can read them."""

from __future__ import annotations

import os
import sys

TOKEN, TOKEN_VARIABLE = "--token", "MM_MILVUS_TOKEN"


def hide_token() -> None:
    """Where the token is given as an option, start again with it in the environment.

    A process's title is its arguments, and shown to everybody; its environment is not. Windows
    has no way to replace a process.
    """
    rest, token = split_token(sys.argv[1:])
    if token is None or os.name != "posix":
        return
    program = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    environment = {**os.environ, TOKEN_VARIABLE: token}
    os.execve(sys.executable, [*program, *rest], environment)  # noqa: S606 - it is ourselves


def split_token(arguments: list[str]) -> tuple[list[str], str | None]:
    """The arguments without `--token X` and `--token=X`, and the last of their tokens."""
    rest: list[str] = []
    token = None
    left = iter(arguments)
    for argument in left:
        name, equals, value = argument.partition("=")
        if argument == "--":
            return [*rest, argument, *left], token
        if name != TOKEN:
            rest.append(argument)
        elif equals:
            token = value
        elif (following := next(left, None)) is None:
            return arguments, None
        else:
            token = following
    return rest, token
