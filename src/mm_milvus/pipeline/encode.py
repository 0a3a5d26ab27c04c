"""Encode a data set into Parquet, to be stored by another machine."""

from __future__ import annotations

import os
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pyarrow as pa

from mm_milvus.embeddings import Embeddings, Header, Known, PartWriter, find_parts
from mm_milvus.embeddings.vectors import from_nested, from_numpy
from mm_milvus.encoders import Encoder, load_encoder
from mm_milvus.errors import QueryError, StoreError
from mm_milvus.pipeline.accept import accept_items
from mm_milvus.pipeline.flow import Item
from mm_milvus.pipeline.interrupt import halt_on_signal
from mm_milvus.pipeline.options import EncodeOptions
from mm_milvus.pipeline.plan import compare_with_parts, plan
from mm_milvus.pipeline.prune import Seen, prune_parts
from mm_milvus.pipeline.report import EncodeReport
from mm_milvus.pipeline.run import run
from mm_milvus.pipeline.stages import count, decode, read
from mm_milvus.pipeline.stages import encode as encode_flows
from mm_milvus.rejects import RejectsFile
from mm_milvus.sources import Source, SourceOptions, as_source
from mm_milvus.sources.files import is_uri

REJECTS = "rejects.jsonl"


def encode(
    source: str | os.PathLike[str] | Source,
    output: str | os.PathLike[str],
    *,
    model: str | Encoder = "compact",
    source_options: SourceOptions | None = None,
    options: EncodeOptions | None = None,
) -> EncodeReport:
    """Write the embeddings of a data set to Parquet files; run again, only what changed.

    source  a folder, a table, tar shards, any fsspec URI of those; or a `Source`
    output  a local folder; it is made, and filled with `part-00000.parquet` and so on, of
            `schema.embeddings_schema`. `ingest(open_embeddings(output))` stores them
    model   what `load_encoder` takes, or an `Encoder`

    A part is there whole or not at all, and whatever ends a run, the same call goes on from
    there. An item that changed is written anew, and its last version counts. Items that cannot be
    encoded are counted, and written with the reason to `rejects.jsonl` in the folder.

    Raises `SourceError`, `EncoderError` or `QueryError` when it cannot run at all, and
    `StoreError` when the folder cannot be written to or holds the vectors of another encoder.
    """
    started = time.perf_counter()
    options = options or EncodeOptions()
    if is_uri(os.fspath(output)):
        raise QueryError(f"{output} is not a local folder: encode into one, then copy it there")
    folder = Path(output)
    source = as_source(source, source_options)
    encoder = load_encoder(model) if isinstance(model, str) else model
    there = find_parts(folder)
    if there is not None:
        _check_same(there, encoder, options)
    report = EncodeReport(dataset=source.name, model=encoder.spec.id, output=folder)
    with closing(RejectsFile(folder / REJECTS)) as rejects:
        seen = Seen() if options.prune else None
        _fill(source, encoder, there, seen, options, report, rejects)
        if seen is not None and not report.interrupted and (filled := find_parts(folder)):
            report.pruned = prune_parts(filled, seen)
    report.seconds = time.perf_counter() - started
    return report


def _check_same(there: Embeddings, encoder: Encoder, options: EncodeOptions) -> None:
    former = there.header.encoder
    if former.fingerprint != encoder.spec.fingerprint:
        raise StoreError(
            f"{there.place.uri} was encoded with {former.id} (fingerprint {former.fingerprint}), "
            f"and this is {encoder.spec.id} (fingerprint {encoder.spec.fingerprint}): their "
            "vectors cannot be compared; give another --output folder"
        )
    if (there.header.document or {}) != dict(options.document or {}):
        raise StoreError(
            f"{there.place.uri} was encoded with the document {there.header.document or 'image'}, "
            f"not {options.document or 'image'}; give another --output folder"
        )


def _fill(
    source: Source,
    encoder: Encoder,
    there: Embeddings | None,
    seen: Seen | None,
    options: EncodeOptions,
    report: EncodeReport,
    rejects: RejectsFile,
) -> None:
    spec = encoder.spec
    document = dict(options.document or {})
    schema = Header(spec, source.name, document or None).schema()
    compare = partial(compare_with_parts, known=Known(there)) if there else None
    size = options.batch_size or encoder.batch_size
    accept = partial(accept_items, columns={}, document=document)
    # Whatever ends the run, closing the writer keeps what is encoded.
    with halt_on_signal() as halt, closing(PartWriter(report.output, schema)) as writer:
        run(
            read(source.batches(), accept, options.limit, halt),
            [
                partial(plan, compare=compare, seen=seen),
                partial(decode, preprocessing=spec.preprocessing, batch_size=size),
                partial(
                    encode_flows, encoder=encoder, document=document, batch_size=size, halt=halt
                ),
                count,
            ],
            lambda flow: writer.write(_to_batch(flow.items, schema, spec.dim)),
            report=report,
            rejects=rejects,
            total=min(filter(None, (source.size, options.limit)), default=None),
            progress=options.progress,
        )
        report.interrupted = halt.is_set()
    report.parts = writer.written


def _to_batch(items: list[Item], schema: pa.Schema, dim: int) -> pa.RecordBatch:
    """Encoded items as rows of `embeddings_schema`."""
    rows = [(item, item.image) for item in items if item.image is not None]
    images = [image.embedding for _, image in rows if image.embedding is not None]
    captions = [
        [row.embedding for row in item.captions if row.embedding is not None] for item, _ in rows
    ]
    return pa.RecordBatch.from_arrays(
        [
            pa.array([item.item_id for item, _ in rows], pa.string()),
            pa.array([item.uri for item, _ in rows], pa.string()),
            pa.array([image.content_hash for _, image in rows], pa.string()),
            from_numpy(images, dim),
            pa.array(
                [[str(row.content) for row in item.captions] for item, _ in rows],
                pa.list_(pa.string()),
            ),
            from_nested(captions, dim),
            pa.array([item.metadata_text for item, _ in rows], pa.string()),
        ],
        schema=schema,
    )
