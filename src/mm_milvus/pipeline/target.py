"""The data set that an ingest writes to: found or made, and of the same encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mm_milvus.encoders import EncoderIdentity
from mm_milvus.errors import StoreError
from mm_milvus.pipeline.options import IngestOptions
from mm_milvus.store import (
    Connection,
    Dataset,
    Manifest,
    beside,
    create_dataset,
    find_dataset,
    find_indexes,
    rebuild_dataset,
)

DEFAULT_INDEX = "IVF_FLAT"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the rows go.

    counts  of what is there before the run; empty for a new data set
    live    what is searched meanwhile, and gives way to the data set once it is complete
    """

    dataset: Dataset
    counts: dict[str, int]
    live: Dataset | None = None


def open_target(
    connection: Connection,
    name: str,
    encoder: EncoderIdentity,
    expected_rows: int,
    options: IngestOptions,
) -> Target | None:
    """Open the data set, or make it; None in a dry run where there is none.

    Raises `StoreError` when the one that is there was built in another way.
    """
    first = find_dataset(connection, name)
    found = first and (_with_encoder(connection, first, encoder) or first)
    if found and not (options.add_encoder and _is_foreign(found, encoder)):
        if options.rebuild:
            return _rebuild(found, encoder, expected_rows, options)
        _check_same(found.manifest, encoder, options)
        return Target(found, found.counts())
    if options.dry_run:
        return None
    manifest = Manifest(
        dataset=name,
        encoder=encoder.id,
        encoder_fingerprint=encoder.fingerprint,
        dim=encoder.dim,
        beside=beside(encoder.id, encoder.fingerprint) if first else "",
        index_type=options.index_type or DEFAULT_INDEX,
        columns=dict(options.promote or {}),
        document=dict(options.document or {}),
    )
    return Target(create_dataset(connection, manifest, expected_rows), {})


def _rebuild(
    live: Dataset, encoder: EncoderIdentity, expected_rows: int, options: IngestOptions
) -> Target:
    _check_encoder(live.manifest, encoder)
    manifest = replace(
        live.manifest,
        index_type=options.index_type or live.manifest.index_type,
        columns=dict(live.manifest.columns if options.promote is None else options.promote),
        document=dict(options.document or {}),
        search_params={},
        rows={},
    )
    rebuilt = rebuild_dataset(live, manifest, expected_rows)
    return Target(rebuilt, rebuilt.counts(), live)


def _with_encoder(
    connection: Connection, first: Dataset, encoder: EncoderIdentity
) -> Dataset | None:
    """The data set as this encoder filled it; None: it did not yet."""
    if not _is_foreign(first, encoder):
        return first
    for manifest in find_indexes(connection, first.name):
        if manifest.encoder_fingerprint == encoder.fingerprint:
            return create_dataset(connection, manifest, expected_rows=0)
    return None


def _is_foreign(dataset: Dataset, encoder: EncoderIdentity) -> bool:
    return dataset.manifest.encoder_fingerprint != encoder.fingerprint


def _check_same(manifest: Manifest, encoder: EncoderIdentity, options: IngestOptions) -> None:
    name = manifest.dataset
    remedy = f"{_OTHERWISE.format(name)}, or build it anew (--rebuild)"
    _check_encoder(manifest, encoder)
    if manifest.dim != encoder.dim:
        raise StoreError(
            f"data set {name!r} holds vectors of {manifest.dim} numbers, and these have "
            f"{encoder.dim}; {remedy}"
        )
    if dict(options.document or {}) != manifest.document:
        raise StoreError(
            f"data set {name!r} was built with the document {manifest.document or 'image'}, "
            f"not {dict(options.document or {}) or 'image'}; {remedy}"
        )
    if options.promote is not None and dict(options.promote) != manifest.columns:
        raise StoreError(
            f"data set {name!r} was built with the promoted columns {manifest.columns}, "
            f"not {dict(options.promote)}; {remedy}"
        )
    if options.index_type not in (None, manifest.index_type):
        raise StoreError(
            f"data set {name!r} has the index {manifest.index_type}, "
            f"not {options.index_type}; {remedy}"
        )


def _check_encoder(manifest: Manifest, encoder: EncoderIdentity) -> None:
    remedy = f"{_OTHERWISE.format(manifest.dataset)}, or index it with both (--add-encoder)"
    manifest.require_encoder(encoder.id, encoder.fingerprint, remedy)


_OTHERWISE = "drop it first (mm-milvus datasets drop {0}), or give another --dataset name"
