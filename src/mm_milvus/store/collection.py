"""One Milvus collection: upsert, look up, delete, scan, search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient
from pymilvus.client.types import LoadState
from pymilvus.exceptions import MilvusException

from mm_milvus.arrays import Vector, Vectors
from mm_milvus.errors import QueryError
from mm_milvus.limits import (
    MAX_ANSWER_BYTES,
    MAX_BYTES,
    MAX_COLUMN_BYTES,
    MAX_METADATA_BYTES,
    MAX_NULLABLE_BYTES,
)
from mm_milvus.schema import Field, Modality, column_name
from mm_milvus.store.connection import CALL_TIMEOUT_S, Store
from mm_milvus.store.index import BUILD_PARAMETERS, index_params, load
from mm_milvus.store.manifest import VERSION_PROPERTY, Manifest, read_manifest
from mm_milvus.store.retry import retry_while_loading
from mm_milvus.store.rows import Row, batches
from mm_milvus.text import one_line

LOOKUP_ROWS = 1000
SCAN_ROWS = 5000
"""Rows per read of a scan: with their vectors, a message stays far below 64 MB."""


@dataclass(frozen=True, slots=True)
class Match:
    """A row that a search found.

    Attributes:
        id: The primary key.
        item_id: The item.
        score: The inner product of the query and the row: both are unit vectors, so -1 to 1.
        fields: The further fields that were asked for.
    """

    id: str
    item_id: str
    score: float
    fields: dict[str, Any]


class Collection:
    """The image or the text collection of a dataset.

    Attributes:
        name: The name in the engine; after a rebuild it is an alias.
        modality: What the rows are.
        store: The store that holds it.
    """

    def __init__(self, store: Store, name: str, modality: Modality) -> None:
        """Name a collection, without a call of the engine."""
        self.name = name
        self.modality = modality
        self.store = store

    @property
    def client(self) -> MilvusClient:
        """The pymilvus client of the store. Raises StoreError when the store is closed."""
        return self.store.client

    def exists(self) -> bool:
        """Return whether the engine has this collection."""
        with self.store.explained(f"cannot look for collection {self.name}"):
            return bool(self.client.has_collection(self.name, timeout=CALL_TIMEOUT_S))

    def create(self, manifest: Manifest, expected_rows: int) -> None:
        """Create the collection with its index, ready to be searched while it fills."""
        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=False)
        for field in self.text_fields:
            schema.add_field(
                field.value,
                DataType.VARCHAR,
                is_primary=field is Field.ID,
                max_length=MAX_BYTES[field],
            )
        schema.add_field(Field.EMBEDDING.value, DataType.FLOAT_VECTOR, dim=manifest.dim)
        schema.add_field(Field.METADATA.value, DataType.JSON)
        length = MAX_NULLABLE_BYTES if manifest.nullable else MAX_COLUMN_BYTES
        for key, kind in manifest.columns.items():
            limit: dict[str, Any] = {"max_length": length} if kind == "varchar" else {}
            if manifest.nullable:
                limit["nullable"] = True
            schema.add_field(column_name(key), DataType[kind.upper()], **limit)
        options = {"schema": schema, "properties": manifest.to_properties()}
        params = index_params(self.client, manifest, expected_rows)
        with self.store.explained(f"cannot create collection {self.name}"):
            try:
                self.client.create_collection(self.name, **options)
            except MilvusException:
                if not self.store.remove_half_made(self.name):
                    raise
                self.client.create_collection(self.name, **options)
            # The collection is empty: there is no index to wait for.
            self.client.create_index(self.name, params, sync=False)
            self.client.load_collection(self.name)

    def ensure(self, manifest: Manifest, expected_rows: int) -> None:
        """Create the collection if it does not exist; return when it can be searched."""
        if not self.exists():
            self.create(manifest, expected_rows)
            return
        with self.store.explained(f"cannot load collection {self.name}"):
            rows = manifest.rows.get(self.modality, expected_rows)
            load(self.client, self.name, manifest, rows, embedded=self.store.embedded)

    def drop(self) -> None:
        """Delete the collection and all of its rows."""
        physical = self.physical_name()
        with self.store.explained(f"cannot drop collection {self.name}"):
            if physical != self.name:
                self.client.drop_alias(self.name, timeout=CALL_TIMEOUT_S)
            self.client.drop_collection(physical, timeout=CALL_TIMEOUT_S)

    def physical_name(self) -> str:
        """Return the engine's name of the collection, where `name` is an alias (see `rebuild`)."""
        return str(self._description()["collection_name"])

    def manifest(self) -> Manifest:
        """Return the manifest in the collection's properties, whatever its schema version."""
        return read_manifest(self._description().get("properties", {}), self.name)

    def versioned_manifest(self) -> tuple[Manifest, tuple[str, ...]]:
        """Return the manifest, and what differs after each time that one is written."""
        with self.store.explained(f"cannot describe collection {self.name}"):
            description = retry_while_loading(
                self.client.describe_collection, self.name, timeout=CALL_TIMEOUT_S
            )
        properties = description.get("properties", {})
        version = (
            str(description.get("collection_id")),
            str(description["collection_name"]),
            str(properties.get(VERSION_PROPERTY)),
        )
        return read_manifest(properties, self.name), version

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest in the collection's properties.

        A server before 2.3.6 shows a change immediately, but saves what the properties were before
        it, so that a restart undoes the last change (milvus-io/milvus#30144). The same change made
        twice lasts.
        """
        properties = manifest.to_properties()
        with self.store.explained(f"cannot describe collection {self.name}"):
            for _ in range(1 if self.store.embedded else 2):
                self.client.alter_collection_properties(
                    self.name, properties=properties, timeout=CALL_TIMEOUT_S
                )

    def _description(self) -> dict[str, Any]:
        with self.store.explained(f"cannot describe collection {self.name}"):
            return dict(self.client.describe_collection(self.name, timeout=CALL_TIMEOUT_S))

    def built_with(self) -> dict[str, int]:
        """Return the index parameter that depends on the row count: nlist, where there is one."""
        _, params = self.vector_index()
        return {key: value for key, value in params.items() if key == "nlist"}

    def vector_index(self) -> tuple[str, dict[str, int]]:
        """Return the type of the vector index, and the parameters that it was built with.

        The type is FLAT, which is the same search, where the dataset's would have one cell; empty
        where a killed process left no index.
        """
        with self.store.explained(f"cannot describe the index of collection {self.name}"):
            description = self.client.describe_index(
                self.name, Field.EMBEDDING.value, timeout=CALL_TIMEOUT_S
            )
        description = description or {}
        # The engines nest the parameters differently.
        params = description.get("params") or description
        return str(description.get("index_type", "")), {
            key: int(params[key]) for key in BUILD_PARAMETERS if key in params
        }

    def is_loaded(self) -> bool:
        """Return whether the engine has loaded the collection, so that it can be searched."""
        with self.store.explained(f"cannot look for collection {self.name}"):
            state = self.client.get_load_state(self.name, timeout=CALL_TIMEOUT_S)
        return bool(state["state"] is LoadState.Loaded)

    def count(self, expression: str = "") -> int:
        """Return the number of rows, every acknowledged write included.

        After it returns, reads of lower consistency see those writes too: the query nodes have
        caught up with the present.

        Args:
            expression: A Milvus boolean expression that the rows must meet (default: all rows).
        """
        return self._count(expression, consistency_level="Strong")

    def visible_rows(self, expression: str = "") -> int:
        """Return how many rows that meet an expression (default: all) a search sees now.

        Those of the last moments may be missing.
        """
        return self._count(expression)

    def _count(self, expression: str, **consistency: str) -> int:
        with (
            self.store.explained(f"cannot count collection {self.name}"),
            explained_expression(expression),
        ):
            [row] = retry_while_loading(
                self.client.query,
                self.name,
                filter=expression,
                output_fields=["count(*)"],
                timeout=CALL_TIMEOUT_S,
                **consistency,
            )
        return int(row["count(*)"])

    @property
    def text_fields(self) -> list[Field]:
        """The fields of a row that are text, the id first."""
        fields = [Field.ID, Field.ITEM_ID, Field.URI, Field.CONTENT_HASH, Field.DETAIL_HASH]
        return [*fields, Field.CAPTION] if self.modality is Modality.TEXT else fields

    def upsert(self, rows: Iterable[Row], columns: dict[str, str]) -> int:
        """Write rows, replacing those with the same id.

        Args:
            rows: Rows of this collection.
            columns: The metadata keys with a column and their types, as in the manifest.

        Returns:
            How many rows were written.
        """
        written = 0
        nullable = bool(columns) and self._has_nullable_columns
        for batch in batches(rows):
            with self.store.explained(f"cannot write to collection {self.name}"):
                self.client.upsert(
                    self.name,
                    [row.to_milvus(columns, nullable=nullable) for row in batch],
                    timeout=CALL_TIMEOUT_S,
                )
            written += len(batch)
        return written

    @cached_property
    def _has_nullable_columns(self) -> bool:
        return any(field.get("nullable") for field in self._description()["fields"])

    def by_id(self, ids: Sequence[str], fields: Sequence[Field]) -> dict[str, dict[str, Any]]:
        """Return the named fields of each id that is stored, and the id itself."""
        return {row[Field.ID]: row for row in self.get(ids, fields)}

    def hashes(self, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return the content hash and the detail hash of each id that is stored."""
        fields = [Field.CONTENT_HASH, Field.DETAIL_HASH]
        return {
            row[Field.ID]: (row[Field.CONTENT_HASH], row[Field.DETAIL_HASH])
            for row in self.get(ids, fields)
        }

    def embeddings(self, ids: Sequence[str]) -> dict[str, Vector]:
        """Return the vector of each id that is stored."""
        return {row[Field.ID]: _vector(row) for row in self.get(ids, [Field.EMBEDDING])}

    def delete(self, ids: Sequence[str]) -> None:
        """Delete rows; an id that is not stored is no error."""
        for chunk in _chunks(ids, LOOKUP_ROWS):
            with self.store.explained(f"cannot delete from collection {self.name}"):
                self.client.delete(self.name, ids=chunk, timeout=CALL_TIMEOUT_S)

    def scan(self) -> Iterator[list[tuple[str, str]]]:
        """Yield (id, item_id) of all rows in lists, every acknowledged write included."""
        for batch in self.scan_rows([Field.ITEM_ID], SCAN_ROWS):
            yield [(row[Field.ID], row[Field.ITEM_ID]) for row in batch]

    def scan_rows(
        self, fields: Sequence[Field], batch_rows: int, expression: str = ""
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the id and the named fields of all rows, in lists.

        Args:
            fields: What to read in addition to the id.
            batch_rows: Rows per list, fewer where they could be longer than a message.
            expression: A Milvus boolean expression that the rows must meet (default: all rows).
        """
        # A server before 2.5 gives the iterator no timestamp to read at: catch up first.
        self.count()
        with self.store.explained(f"cannot read collection {self.name}"):
            iterator = self.client.query_iterator(
                self.name,
                batch_size=min(batch_rows, rows_per_answer(fields)),
                filter=expression,
                output_fields=[Field.ID.value, *(field.value for field in fields)],
                consistency_level="Strong",
            )
            try:
                while batch := iterator.next():
                    yield batch
            finally:
                iterator.close()

    def search(
        self,
        embeddings: Vectors,
        limit: int,
        *,
        expression: str = "",
        params: dict[str, int] | None = None,
        fields: Sequence[Field] = (),
    ) -> list[list[Match]]:
        """Return for each query its `limit` best matches, best first.

        Args:
            embeddings: The queries, float32 (n, dim), of unit length.
            limit: Maximum number of matches per query, at most `choices.MAX_LIMIT`.
            expression: A Milvus boolean expression that the rows must meet (default: all rows).
            params: Search parameters of the index, such as nprobe.
            fields: What to read of the matches in addition to the id and the item_id.

        Raises:
            QueryError: When the engine refuses the expression.
            StoreError: When the search fails for another reason.
        """
        matches: list[list[Match]] = []
        fields = [Field.ITEM_ID, *fields]
        queries = max(1, rows_per_answer(fields) // limit)
        for start in range(0, len(embeddings), queries):
            answer = self.raw_search(
                embeddings[start : start + queries],
                limit,
                [field.value for field in fields],
                expression,
                params,
            )
            matches += [[_match(hit) for hit in hits] for hits in answer]
        return matches

    def raw_search(
        self,
        embeddings: Vectors,
        limit: int,
        fields: list[str],
        expression: str,
        params: dict[str, int] | None,
    ) -> Any:
        """Search as `search` does, and return the answer of pymilvus with only the named fields."""
        params = dict(params or {})
        if "ef" in params:
            # The server insists that a graph's list of candidates is as long as the answer.
            params["ef"] = max(params["ef"], limit)
        with (
            self.store.explained(f"cannot search collection {self.name}"),
            explained_expression(expression),
        ):
            return retry_while_loading(
                self.client.search,
                self.name,
                data=list(embeddings),
                limit=limit,
                filter=expression,
                output_fields=fields,
                anns_field=Field.EMBEDDING.value,
                search_params={"metric_type": "IP", "params": params},
                timeout=CALL_TIMEOUT_S,
            )

    def get(self, ids: Sequence[str], fields: Sequence[Field]) -> Iterator[dict[str, Any]]:
        """Yield the id and the named fields of each id that is stored, in no order."""
        for chunk in _chunks(ids, min(LOOKUP_ROWS, rows_per_answer(fields))):
            with self.store.explained(f"cannot read collection {self.name}"):
                yield from retry_while_loading(
                    self.client.query,
                    self.name,
                    ids=chunk,
                    output_fields=[Field.ID.value, *(field.value for field in fields)],
                    timeout=CALL_TIMEOUT_S,
                )


@contextmanager
def explained_expression(expression: str) -> Iterator[None]:
    """Turn the refusal of an expression inside the block into a `QueryError`."""
    try:
        yield
    except MilvusException as error:
        if expression and _blames_expression(error.message):
            reason = one_line(error.message)
            raise QueryError(
                f"Milvus refused the filter {expression!r}: {reason}; "
                "see the Milvus boolean expression rules, or use KEY=VALUE (`where`)"
            ) from error
        raise


def _match(hit: Any) -> Match:
    """Return a hit of pymilvus as a match."""
    fields = dict(hit["entity"])
    return Match(
        id=str(hit[Field.ID]),
        item_id=fields.pop(Field.ITEM_ID),
        score=float(hit["distance"]),
        fields=fields,
    )


def rows_per_answer(fields: Sequence[Field]) -> int:
    """Return how many rows with the id and these fields fit into an answer; vectors count 0."""
    longest = MAX_BYTES | {Field.METADATA: MAX_METADATA_BYTES}
    return MAX_ANSWER_BYTES // sum(longest.get(field, 0) for field in (Field.ID, *fields))


def _vector(row: dict[str, Any]) -> Vector:
    return np.asarray(row[Field.EMBEDDING], dtype=np.float32)


def _blames_expression(message: str) -> bool:
    return any(word in message for word in ("expression", "unknown field", "column ", "parse"))


def _chunks(ids: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(ids), size):
        yield list(ids[start : start + size])
