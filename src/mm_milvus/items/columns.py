"""Columns of a table of items: fields of items, and keys of their metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from mm_milvus.embeddings.arrow import from_nested, from_numpy
from mm_milvus.errors import OptionError
from mm_milvus.filters.match import value_of
from mm_milvus.items.item import ItemRows
from mm_milvus.limits import column_value
from mm_milvus.schema import embeddings_schema
from mm_milvus.store.manifest import Manifest
from mm_milvus.text import as_text

ITEM_COLUMNS = ("item_id", "uri", "captions", "metadata")
"""The columns of a table of items where none are named."""

VECTOR_COLUMNS = ("image_embedding", "caption_embeddings")

ENCODED_COLUMNS = tuple(embeddings_schema(1).names)
"""The columns that `ingest` takes as embeddings."""

_TYPES = {"double": pa.float64(), "int64": pa.int64(), "varchar": pa.string(), "bool": pa.bool_()}


def metadata_keys(columns: Sequence[str]) -> list[str]:
    """Return the columns that are keys of the metadata.

    Raises:
        OptionError: For no column at all, and for one that is named twice.
    """
    if not columns:
        raise OptionError("`columns` is empty; name some, or leave it out")
    for name in columns:
        if [*columns].count(name) > 1:
            raise OptionError(f"`columns` has {name!r} twice")
    return [name for name in columns if name not in ENCODED_COLUMNS]


def items_schema(columns: Sequence[str], manifest: Manifest) -> pa.Schema:
    """Return the Arrow schema of some columns.

    A key of the metadata has the type of its typed column where that holds all of its values.
    Elsewhere it is text: a text itself, and any other value as JSON.
    """
    fields = embeddings_schema(manifest.dim)
    return pa.schema(
        [
            fields.field(name)
            if name in ENCODED_COLUMNS
            else pa.field(name, _TYPES.get(_typed_column(name, manifest), pa.string()))
            for name in columns
        ]
    )


def to_record_batch(
    rows: Sequence[ItemRows], schema: pa.Schema, manifest: Manifest
) -> pa.RecordBatch:
    """Return items as rows of a schema that `items_schema` made."""
    arrays = [_array(field, rows, manifest) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def to_json(row: ItemRows, columns: Sequence[str]) -> dict[str, Any]:
    """Return the columns of an item as JSON types."""
    return {name: _json_value(name, row) for name in columns}


def to_cell(value: Any) -> str:
    """Return a JSON value as the text of a cell: "" for null, JSON for all but text."""
    if value is None:
        return ""
    return as_text(value)


def _typed_column(key: str, manifest: Manifest) -> str:
    return "" if manifest.unfit.get(key) else manifest.columns.get(key, "")


def _array(field: pa.Field, rows: Sequence[ItemRows], manifest: Manifest) -> pa.Array:
    match field.name:
        case "image_embedding":
            return from_numpy([row.image_embedding for row in rows], manifest.dim)
        case "caption_embeddings":
            return from_nested([row.caption_embeddings for row in rows], manifest.dim)
        case "captions":
            return pa.array([[*row.item.captions] for row in rows], field.type)
        case "metadata":
            return pa.array([metadata_text(row.item.metadata) for row in rows], field.type)
        case "item_id" | "uri" | "content_hash":
            return pa.array([_json_value(field.name, row) for row in rows], field.type)
    values = [value_of(field.name, row.item.metadata) for row in rows]
    kind = _typed_column(field.name, manifest)
    return pa.array([_typed(value, kind, manifest) for value in values], field.type)


def _typed(value: Any, kind: str, manifest: Manifest) -> Any:
    if kind:
        return column_value(kind, value, nullable=manifest.nullable)
    return None if value is None else to_cell(value)


def _json_value(name: str, row: ItemRows) -> Any:
    match name:
        case "image_embedding":
            return None if row.image_embedding is None else row.image_embedding.tolist()
        case "caption_embeddings":
            return [vector.tolist() for vector in row.caption_embeddings]
        case "content_hash":
            return row.content_hash
        case "item_id" | "uri" | "captions" | "metadata":
            return row.item.to_dict()[name]
    return value_of(name, row.item.metadata)


def metadata_text(metadata: Mapping[str, Any]) -> str:
    """Return metadata as the JSON text that sources write, so that its hash is the same."""
    return json.dumps(metadata, ensure_ascii=False)
