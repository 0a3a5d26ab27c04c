"""Check that a raw Milvus expression cannot reach beyond the brackets that it is put into."""

from __future__ import annotations

import re

from mm_milvus.errors import QueryError
from mm_milvus.filters.condition import excerpt

_TOKEN = re.compile(
    r"""
      (?P<plain>[A-Za-z0-9_\s.,+\-*/%<>=!&|^~$]+)
    | (?P<text>
        "(?:[^"\\\r\n]|\\(?:["'\\abfnrtv?]|[0-7]{1,3}|x[0-9A-Fa-f]+|u[0-9A-Fa-f]{4}))*"
      | '(?:[^'\\\r\n]|\\(?:["'\\abfnrtv?]|[0-7]{1,3}|x[0-9A-Fa-f]+|u[0-9A-Fa-f]{4}))*'
      )
    | (?P<open>[(\[{]) | (?P<close>[)\]}])
    """,
    re.VERBOSE | re.ASCII,
)
"""What the grammars of the engines have; a text has only escapes that all of them end alike."""

_PAIRS = {"(": ")", "[": "]", "{": "}"}


def check_enclosed(expression: str) -> None:
    """Check that brackets around an expression enclose all of it.

    Every bracket and every quote must be closed in it, so that `(A) and (EXPRESSION)` is never true
    where A is not. Whether the rest makes sense is left to the engine, which refuses what it cannot
    parse.

    Args:
        expression: A Milvus boolean expression.

    Raises:
        QueryError: With the position of the fault.
    """
    closing: list[str] = []
    position = 0
    while position < len(expression):
        token = _TOKEN.match(expression, position)
        if token is None:
            character = expression[position]
            fault = (
                "a text that is not closed, or has an escape that Milvus does not know"
                if character in "\"'"
                else f"{excerpt(character)}, which Milvus knows in texts in quotes only"
            )
            raise _rejected(expression, position, fault)
        if token["open"]:
            closing.append(_PAIRS[token["open"]])
        elif token["close"] and (not closing or closing.pop() != token["close"]):
            raise _rejected(expression, position, f"{token['close']} closes no bracket")
        position = token.end()
    if closing:
        raise _rejected(expression, position, f"a missing {closing[-1]}")


def _rejected(expression: str, position: int, fault: str) -> QueryError:
    return QueryError(
        f"filter {excerpt(expression)}: at character {position + 1}, {fault}; "
        "close each bracket and each quote in the expression (`filter`)"
    )
