"""The file of `query --queries`: one query per line, each answered or refused by itself."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from mm_milvus.errors import QueryError
from mm_milvus.text import one_line

if TYPE_CHECKING:
    from mm_milvus.search.client import SearchClient
    from mm_milvus.search.hits import Hit
    from mm_milvus.search.options import SearchOptions
    from mm_milvus.search.query import Query

JSON_STARTS = ("{", "[", '"')
"""What a line of JSON begins with; any other line is a text."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file.

    Attributes:
        number: From 1.
        query: What it asks for; None where it is refused.
        error: Why it is refused.
    """

    number: int
    query: Query | None = None
    error: str = ""


def parse_lines(lines: Iterable[bytes]) -> Iterator[Line]:
    """Parse the lines of a file: each is a JSON object, a JSON text or a plain text.

    Args:
        lines: UTF-8; the first may begin with a byte order mark. Empty ones are skipped.
    """
    from mm_milvus.search.query import Query

    for number, data in enumerate(lines, start=1):
        content = data.removeprefix(codecs.BOM_UTF8) if number == 1 else data
        if not content.strip():
            continue
        try:
            text = content.decode().strip()
            value = json.loads(text) if text.startswith(JSON_STARTS) else text
            yield Line(number, Query.from_dict(value))
        except UnicodeDecodeError as error:
            yield Line(number, error=f"it is not UTF-8 ({error.reason}); save the file as UTF-8")
        except QueryError as error:
            yield Line(number, error=one_line(error))
        except (ValueError, RecursionError) as error:
            reason = f"it begins as JSON and is not: {one_line(error)}"
            yield Line(number, error=f"{reason}; correct it, or write a text without quotes")


def answers(
    client: SearchClient, lines: Iterable[Line], options: SearchOptions
) -> Iterator[dict[str, Any]]:
    """Yield one JSON object per line, in order: `query` and `hits`, or `line` and `error`.

    Raises:
        QueryError: When the options refuse every query, such as a condition that makes no sense.
    """
    from mm_milvus.search.candidates import QUERIES_PER_CALL

    remaining = iter(lines)
    while batch := list(islice(remaining, QUERIES_PER_CALL)):
        for line, found in zip(batch, _search(client, batch, options), strict=True):
            if line.query is None or isinstance(found, str):
                yield {"line": line.number, "error": found}
            else:
                yield {"query": line.query.to_dict(), "hits": [hit.to_dict() for hit in found]}


def _search(
    client: SearchClient, batch: Sequence[Line], options: SearchOptions
) -> list[list[Hit] | str]:
    """Return the hits or the error of each line; the queries are searched together if possible."""
    queries = [line.query for line in batch if line.query is not None]
    try:
        together = iter(client.search_many(queries, options=options))
    except QueryError:
        # Is it one of the queries, or would any be refused?
        client.search("text", options=replace(options, offset=0, top_k=1))
        return [_search_alone(client, line, options) for line in batch]
    return [line.error if line.query is None else next(together) for line in batch]


def _search_alone(client: SearchClient, line: Line, options: SearchOptions) -> list[Hit] | str:
    if line.query is None:
        return line.error
    try:
        [hits] = client.search_many([line.query], options=options)
    except QueryError as error:
        return one_line(error)
    return hits
