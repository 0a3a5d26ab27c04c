"""Encode a dataset into Parquet, to be stored from another machine."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from mm_milvus.choices import DEFAULT_MODEL
from mm_milvus.embeddings.arrow import from_nested, from_numpy
from mm_milvus.embeddings.compare import compare_with_parts
from mm_milvus.embeddings.header import Header
from mm_milvus.embeddings.options import EncodeOptions
from mm_milvus.embeddings.parts import Embeddings
from mm_milvus.embeddings.previous import PreviousParts
from mm_milvus.embeddings.prune import prune_parts
from mm_milvus.embeddings.writer import PartWriter, find_parts
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import as_encoder
from mm_milvus.errors import OptionError, OutputError
from mm_milvus.files import is_uri
from mm_milvus.pipeline.accept import accept_items
from mm_milvus.pipeline.batch import Batch, Item
from mm_milvus.pipeline.plan import SeenKeys, plan
from mm_milvus.pipeline.report import Report
from mm_milvus.pipeline.run import run
from mm_milvus.pipeline.stages import count_new, encoding_stages
from mm_milvus.rejects import RejectsFile
from mm_milvus.sources.base import Source
from mm_milvus.sources.open import as_source
from mm_milvus.sources.opened import decoding_of
from mm_milvus.sources.options import SourceOptions

REJECTS = "rejects.jsonl"


@dataclass(slots=True, kw_only=True)
class EncodeReport(Report):
    """Counts of an encode.

    Attributes:
        output: The folder of the parts.
        parts: How many part files were written.
    """

    output: Path
    parts: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the report, ready for JSON."""
        return {**Report.to_dict(self), "output": str(self.output), "parts": self.parts}


def encode(
    source: str | os.PathLike[str] | Source,
    output: str | os.PathLike[str],
    *,
    model: str | Encoder = DEFAULT_MODEL,
    source_options: SourceOptions | None = None,
    options: EncodeOptions | None = None,
    rejects: str | os.PathLike[str] | bool | None = True,
    interrupt: threading.Event | None = None,
) -> EncodeReport:
    """Write the embeddings of a dataset to Parquet files; run again, it encodes only what changed.

    A part appears complete or not at all, and whatever ends a run, the same call continues from
    there. An item that changed is written again, and its last version counts. Items that cannot be
    encoded are counted, and never stop the run.

    Args:
        source: A folder, a table, tar shards, any fsspec URI of those; or a `Source`.
        output: A local folder, made if need be, for `part-00000.parquet` and so on, of
            `schema.embeddings_schema`. `ingest(open_embeddings(output))` stores them.
        model: What `load_encoder` takes, or an `Encoder`.
        source_options: How to read the source.
        options: How to encode.
        rejects: Where to write rejected items with their reasons, as JSON lines (default, True:
            `rejects.jsonl` in the output folder; False or None: nowhere).
        interrupt: An event that ends the run in order once it is set: what is encoded is kept.

    Returns:
        The counts of the run.

    Raises:
        SourceError: When the source cannot be read as it was named.
        EncoderError: When the model cannot be loaded.
        OptionError: When the output is not a local folder.
        OutputError: When the output cannot be written to, or holds vectors of another encoder.
    """
    started = time.perf_counter()
    options = options or EncodeOptions()
    interrupt = interrupt or threading.Event()
    if is_uri(os.fspath(output)):
        raise OptionError(f"{output} is not a local folder: encode into one, then copy it there")
    folder = Path(output)
    source = as_source(source, source_options)
    encoder = as_encoder(model)
    previous = find_parts(folder)
    if previous is not None:
        _check_same(previous, encoder, options)
    spec = encoder.spec
    document = dict(options.document or {})
    schema = Header(spec, source.name, document or None).schema()
    seen = SeenKeys() if options.prune else None
    compare = partial(compare_with_parts, previous=PreviousParts(previous)) if previous else None
    report = EncodeReport(dataset=source.name, model=spec.id, output=folder)
    if isinstance(rejects, bool):
        rejects = folder / REJECTS if rejects else None
    # Whatever ends the run, closing the writer keeps what is encoded.
    with (
        closing(RejectsFile(rejects)) as rejected,
        closing(PartWriter(folder, schema)) as writer,
    ):
        run(
            source,
            [
                partial(accept_items, document=document, decoding=decoding_of(source)),
                partial(plan, compare=compare, seen=seen),
                *encoding_stages(
                    encoder,
                    decoding=decoding_of(source),
                    document=document,
                    batch_size=options.batch_size,
                    interrupt=interrupt,
                ),
                count_new,
            ],
            lambda batch: writer.write(_to_record_batch(batch, schema, spec.dim)),
            report=report,
            rejects=rejected,
            interrupt=interrupt,
            limit=options.limit,
            progress=options.progress,
        )
    report.parts = writer.written
    if seen is not None and not report.interrupted and (written := find_parts(folder)):
        report.pruned = prune_parts(written, seen)
    report.seconds = time.perf_counter() - started
    return report


def _check_same(previous: Embeddings, encoder: Encoder, options: EncodeOptions) -> None:
    """Raise OutputError where the folder's vectors are not comparable with those to be written."""
    stored = previous.header.encoder
    if stored.fingerprint != encoder.spec.fingerprint:
        raise OutputError(
            f"{previous.place.uri} was encoded with {stored.id} (fingerprint "
            f"{stored.fingerprint}), and this is {encoder.spec.id} (fingerprint "
            f"{encoder.spec.fingerprint}): their vectors cannot be compared; "
            "give another `output` folder"
        )
    if (previous.header.document or {}) != dict(options.document or {}):
        raise OutputError(
            f"{previous.place.uri} was encoded with the document "
            f"{previous.header.document or 'image'}, not {options.document or 'image'}; "
            "give another `output` folder"
        )


def _to_record_batch(batch: Batch[Item], schema: pa.Schema, dim: int) -> pa.RecordBatch:
    """Return encoded items as rows of `embeddings_schema`."""
    images = [item.image for item in batch.items]
    captions = [
        [row.embedding for row in item.captions if row.embedding is not None]
        for item in batch.items
    ]
    return pa.RecordBatch.from_arrays(
        [
            pa.array([item.item_id for item in batch.items], pa.string()),
            pa.array([item.uri for item in batch.items], pa.string()),
            pa.array([image.content_hash if image else "" for image in images], pa.string()),
            from_numpy([image.embedding if image else None for image in images], dim),
            pa.array(
                [[str(row.content) for row in item.captions] for item in batch.items],
                pa.list_(pa.string()),
            ),
            from_nested(captions, dim),
            pa.array([item.metadata_text for item in batch.items], pa.string()),
        ],
        schema=schema,
    )
