"""Files of queries (JSON lines) and relevance judgements (TREC's qrels), as `JudgedQueries`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mm_milvus.errors import QueryError
from mm_milvus.evaluation.sampling import sample_numbers
from mm_milvus.files import is_uri
from mm_milvus.search.query import Query

Qrels = dict[str, dict[str, int]]
"""Per query_id the judged item_ids and their grades; 0 or less: not relevant."""


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query with an id that judgements refer to."""

    query_id: str
    query: Query

    @property
    def direction(self) -> str:
        """What searches the items: text_to_item, image_to_item, text_and_image_to_item."""
        parts = {"text": self.query.texts, "image": self.query.images, "item": self.query.like}
        return "_and_".join(name for name, part in parts.items() if part) + "_to_item"

    @property
    def label(self) -> str:
        """The query in one line."""
        query = self.query
        return " + ".join([*query.texts, *map(str, query.images), *query.like])


@dataclass(frozen=True, slots=True)
class JudgedQueries:
    """Queries that have relevant items.

    Attributes:
        by_direction: The queries of each direction.
        relevant: Per query_id its relevant item_ids, at least one, and their grades, 1 or more.
        remarks: What was left out.
    """

    by_direction: dict[str, list[JudgedQuery]]
    relevant: dict[str, dict[str, int]]
    remarks: list[str]

    def missing_items(self, item_ids: list[str]) -> list[str]:
        """Return the relevant items that are not among the item_ids, sorted."""
        relevant = {item_id for grades in self.relevant.values() for item_id in grades}
        return sorted(relevant - set(item_ids))


def read_judged_queries(queries: Path, qrels: Path, sample: int, seed: int) -> JudgedQueries:
    """Read the queries that have a relevant item.

    Args:
        queries: A file as for `read_queries`.
        qrels: A file as for `read_qrels`.
        sample: Maximum number of queries; of more, a random sample is taken.
        seed: Seed of the sample.

    Raises:
        QueryError: When a file cannot be read, or no query has a relevant item.
    """
    all_queries = read_queries(queries)
    judgements = read_qrels(qrels)
    relevant = {}
    for query in all_queries:
        grades = judgements.get(query.query_id, {})
        if positive := {item_id: grade for item_id, grade in grades.items() if grade > 0}:
            relevant[query.query_id] = positive
    if not relevant:
        raise QueryError(f"{qrels} has no relevant item for any query of {queries}")
    remarks = []
    if unanswered := len(all_queries) - len(relevant):
        remarks.append(
            f"{unanswered:,} of {len(all_queries):,} queries have no relevant item: left out"
        )
    answered = [query for query in all_queries if query.query_id in relevant]
    by_direction: dict[str, list[JudgedQuery]] = defaultdict(list)
    for number in sample_numbers(len(answered), sample, seed):
        by_direction[answered[number].direction].append(answered[number])
    return JudgedQueries(dict(by_direction), relevant, remarks)


def read_queries(path: Path) -> list[JudgedQuery]:
    """Read queries from a file of JSON lines: `{"query_id": "1", "text": "red dress"}`.

    In addition to its query_id, a line has what `Query.from_dict` takes; the path of an image is
    relative to the file.

    Raises:
        QueryError: When the file cannot be read, or a line is not a query; the message names it.
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
    """Read judgements from a file in TREC's format: one `query_id 0 item_id grade` per line.

    An item_id may contain spaces.

    Raises:
        QueryError: When the file cannot be read, or a line is not a judgement; the message names
            it.
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
    images = tuple(
        path.parent / image if isinstance(image, str) and not is_uri(image) else image
        for image in query.images
    )
    return JudgedQuery(str(query_id), replace(query, images=images))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the non-empty lines of a file with their numbers, from 1."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise QueryError(f"cannot read {path}: {reason}") from error
