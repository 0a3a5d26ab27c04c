"""The collections that an ingest writes to: found or created, and of the same encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mm_milvus.embeddings.parts import Embeddings
from mm_milvus.encoders.base import EncoderIdentity
from mm_milvus.errors import StoreError
from mm_milvus.ingestion.options import IngestOptions
from mm_milvus.ingestion.remembered import check_ids, to_remember
from mm_milvus.sources.base import Source
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import (
    Dataset,
    create_dataset,
    dataset_of,
    encoder_suffix,
    find_indexes,
    find_manifest,
    rebuild_dataset,
)
from mm_milvus.store.manifest import SCHEMA_VERSION, Manifest

DEFAULT_INDEX = "IVF_FLAT"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the rows of an ingest go.

    Attributes:
        dataset: The collections that are written to.
        counts: Row counts before the run, by modality; empty for a new dataset.
        live: During a rebuild, the dataset that is searched meanwhile and replaced at the end.
    """

    dataset: Dataset
    counts: dict[str, int]
    live: Dataset | None = None


def open_target(
    store: Store,
    name: str,
    encoder: EncoderIdentity,
    source: Source | Embeddings,
    options: IngestOptions,
    find_columns: Callable[[], dict[str, str]],
) -> Target | None:
    """Open the dataset, or create it; None in a dry run where it does not exist.

    Args:
        store: An open store.
        name: Name of the dataset.
        encoder: What the vectors are of.
        source: What is ingested; its size and its options become part of the dataset.
        options: The options of the ingest.
        find_columns: Returns the columns of new collections in addition to the promoted ones,
            where the engine has null; it is called for these only.

    Raises:
        StoreError: When the dataset exists and was built in another way.
    """
    first = find_manifest(store, name)
    expected_rows = source.size or 0
    remembered = to_remember(source)
    existing = first and (_of_encoder(store, first, encoder) or first)
    if existing and not (options.add_encoder and _has_other_encoder(existing, encoder)):
        if options.rebuild:
            existing = replace(existing, source_options=remembered or existing.source_options)
            live = dataset_of(store, existing)
            return _rebuild(live, encoder, expected_rows, options, find_columns)
        dataset = create_dataset(store, existing, expected_rows)
        _check_same(existing, encoder, options)
        check_ids(existing, source)
        return Target(dataset, dataset.counts())
    if options.dry_run:
        return None
    suffix = encoder_suffix(encoder.id, encoder.fingerprint) if first else ""
    manifest = replace(
        _new_manifest(name, encoder, suffix),
        index_type=options.index_type or DEFAULT_INDEX,
        document=dict(options.document or {}),
        source_options=remembered,
    )
    manifest = _with_columns(manifest, store, dict(options.promote or {}), find_columns)
    return Target(create_dataset(store, manifest, expected_rows), {})


def _new_manifest(name: str, encoder: EncoderIdentity, suffix: str) -> Manifest:
    return Manifest(
        dataset=name,
        encoder=encoder.id,
        encoder_fingerprint=encoder.fingerprint,
        dim=encoder.dim,
        index_type=DEFAULT_INDEX,
        suffix=suffix,
    )


def _with_columns(
    manifest: Manifest,
    store: Store,
    promoted: dict[str, str],
    find_columns: Callable[[], dict[str, str]],
) -> Manifest:
    """Return the manifest of new collections with the promoted columns and those in the data."""
    found = find_columns() if store.has_null else {}
    return replace(
        manifest,
        columns={**found, **promoted},
        promoted=list(promoted),
        nullable=store.has_null,
        unfit={},
    )


def _rebuild(
    live: Dataset,
    encoder: EncoderIdentity,
    expected_rows: int,
    options: IngestOptions,
    find_columns: Callable[[], dict[str, str]],
) -> Target:
    if live.manifest.encoder_fingerprint:  # empty only in another schema version
        _check_encoder(live.manifest, encoder)
    previous = live.manifest
    if not previous.is_readable:
        previous = _new_manifest(live.name, encoder, previous.suffix)
    manifest = replace(
        previous,
        index_type=options.index_type or previous.index_type,
        document=dict(options.document or {}),
        search_params={},
        rows={},
        schema_version=SCHEMA_VERSION,
    )
    promoted = {key: previous.columns[key] for key in previous.promoted}
    if options.promote is not None:
        promoted = dict(options.promote)
    manifest = _with_columns(manifest, live.images.store, promoted, find_columns)
    rebuilt = rebuild_dataset(live, manifest, expected_rows)
    return Target(rebuilt, rebuilt.counts(), live)


def _of_encoder(store: Store, first: Manifest, encoder: EncoderIdentity) -> Manifest | None:
    """Return the manifest of the dataset as this encoder indexed it; None where it has not."""
    if not _has_other_encoder(first, encoder):
        return first
    for manifest in find_indexes(store, first.dataset):
        if not _has_other_encoder(manifest, encoder):
            return manifest
    return None


def _has_other_encoder(manifest: Manifest, encoder: EncoderIdentity) -> bool:
    return manifest.encoder_fingerprint != encoder.fingerprint


def _check_same(manifest: Manifest, encoder: EncoderIdentity, options: IngestOptions) -> None:
    name = manifest.dataset
    remedy = f"{_OTHERWISE}, or build it again (`rebuild`)"
    _check_encoder(manifest, encoder)
    if manifest.dim != encoder.dim:
        raise StoreError(
            f"dataset {name!r} holds vectors of {manifest.dim} numbers, and these have "
            f"{encoder.dim}; {remedy}"
        )
    if dict(options.document or {}) != manifest.document:
        raise StoreError(
            f"dataset {name!r} was built with the document {manifest.document or 'image'}, "
            f"not {dict(options.document or {}) or 'image'}; {remedy}"
        )
    if not (options.promote or {}).items() <= manifest.columns.items():
        raise StoreError(
            f"dataset {name!r} was built with the columns {manifest.columns}, "
            f"not with the promoted columns {dict(options.promote or {})}; {remedy}"
        )
    if options.index_type not in (None, manifest.index_type):
        raise StoreError(
            f"dataset {name!r} has the index {manifest.index_type}, "
            f"not {options.index_type}; {remedy}"
        )


def _check_encoder(manifest: Manifest, encoder: EncoderIdentity) -> None:
    remedy = f"{_OTHERWISE}, or index it with both (`add_encoder`)"
    manifest.require_encoder(encoder.id, encoder.fingerprint, remedy)


_OTHERWISE = "drop the dataset first, or choose another name (`dataset`)"
