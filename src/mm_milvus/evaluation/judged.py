"""Queries and relevance judgements in files: JSON lines, and the qrels of TREC."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mm_milvus.errors import QueryError
from mm_milvus.images.load import ImageLike
from mm_milvus.search.query import Query

Qrels = dict[str, dict[str, int]]
"""For each query_id the judged item_ids and their grades; 0 or less: not relevant."""


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A question with judgements."""

    query_id: str
    query: Query

    @property
    def direction(self) -> str:
        """What searches the items: text_to_item, image_to_item, text_and_image_to_item."""
        parts = {"text": self.query.texts, "image": self.query.images, "item": self.query.like}
        return "_and_".join(name for name, part in parts.items() if part) + "_to_item"

    @property
    def shown(self) -> str:
        """The question in one line."""
        query = self.query
        return " + ".join([*query.texts, *map(str, query.images), *query.like])


def read_queries(path: Path) -> list[JudgedQuery]:
    """The queries of a file of JSON lines: `{"query_id": "1", "text": "red dress"}`.

    Beside its query_id a line has what `Query.from_dict` takes; an image's path is relative to
    the file. Raises `QueryError` that names the line.
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
    expected = 'write {"query_id": ..., "text": ...} or {"query_id": ..., "image": ...}'
    try:
        fields = json.loads(line)
        query_id = fields.pop("query_id")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise QueryError(f"{path}:{number} has no query_id: {expected}") from error
    if isinstance(query_id, bool) or not isinstance(query_id, str | int):
        raise QueryError(f"{path}:{number} has no query_id that is a string: {expected}")
    try:
        query = Query.from_dict(fields)
    except QueryError as error:
        raise QueryError(f"{path}:{number}: {error}") from error
    images = tuple(_beside(path, image) for image in query.images)
    return JudgedQuery(str(query_id), replace(query, images=images))


def _beside(path: Path, image: ImageLike) -> ImageLike:
    return path.parent / image if isinstance(image, str) and "://" not in image else image


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise QueryError(f"cannot read {path}: {reason}") from error
