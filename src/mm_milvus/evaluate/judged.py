"""Queries and relevance judgements in files: JSON lines, and the qrels of TREC."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mm_milvus.errors import QueryError

Qrels = dict[str, dict[str, int]]
"""For each query_id the judged item_ids and their grades; 0 or less: not relevant."""


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A question with judgements: a text, an image, or both."""

    query_id: str
    text: str | None
    image: Path | None


def read_queries(path: Path) -> list[JudgedQuery]:
    """The queries of a file of JSON lines: `{"query_id": "1", "text": "red dress"}`.

    `image` is a path, relative to the file. Raises `QueryError` that names the line.
    """
    queries: dict[str, JudgedQuery] = {}
    for number, line in _lines(path):
        query = _query(path, number, line)
        if query.query_id in queries:
            raise QueryError(f"{path}:{number} repeats the query_id {query.query_id!r}")
        queries[query.query_id] = query
    if not queries:
        raise QueryError(f"{path} holds no query")
    return list(queries.values())


def read_qrels(path: Path) -> Qrels:
    """The judgements of a file in TREC's format: `query_id 0 item_id grade`, a line each.

    An item_id may have spaces. Raises `QueryError` that names the line.
    """
    qrels: Qrels = {}
    for number, line in _lines(path):
        try:
            query_id, _, rest = line.split(maxsplit=2)
            item_id, grade = rest.rsplit(maxsplit=1)
            qrels.setdefault(query_id, {})[item_id] = int(grade)
        except ValueError as error:
            raise QueryError(
                f"{path}:{number} is {line.strip()[:60]!r}, and must be: query_id 0 item_id grade"
            ) from error
    if not qrels:
        raise QueryError(f"{path} holds no judgement")
    return qrels


def _query(path: Path, number: int, line: str) -> JudgedQuery:
    expected = 'must be: {"query_id": ..., "text": ...} or {"query_id": ..., "image": ...}'
    try:
        fields = json.loads(line)
        query_id, text, image = (fields.get(name) for name in ("query_id", "text", "image"))
    except (ValueError, AttributeError) as error:
        raise QueryError(f"{path}:{number} is no JSON object, and {expected}") from error
    if isinstance(query_id, int) and not isinstance(query_id, bool):
        query_id = str(query_id)
    known = all(each is None or (isinstance(each, str) and each.strip()) for each in (text, image))
    if not isinstance(query_id, str) or not known or (text is None and image is None):
        raise QueryError(f"{path}:{number} {expected}")
    return JudgedQuery(query_id, text, None if image is None else path.parent / image)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise QueryError(f"cannot read {path}: {reason}") from error
