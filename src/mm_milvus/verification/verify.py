"""The check as a whole, and the mending of what it finds."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace

from tqdm import tqdm

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.embeddings.parts import Embeddings
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import load_encoder
from mm_milvus.errors import QueryError
from mm_milvus.ingestion.ingest import ingest
from mm_milvus.ingestion.options import IngestOptions
from mm_milvus.schema import Modality
from mm_milvus.sources.base import Source
from mm_milvus.sources.decoding import decoding_of
from mm_milvus.sources.open import as_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.store.connection import StoreLike, opened
from mm_milvus.store.dataset import Dataset, open_dataset
from mm_milvus.store.deprecated import accepts_old_keywords
from mm_milvus.verification.options import VerifyOptions
from mm_milvus.verification.report import VerifyReport
from mm_milvus.verification.sample import encode_again, stored_items
from mm_milvus.verification.source import compare
from mm_milvus.verification.store import RowsToDelete, Scan, check_manifests


@accepts_old_keywords
def verify(
    source: str | os.PathLike[str] | Source | Embeddings | None = None,
    *,
    dataset: str | None = None,
    store: StoreLike = DEFAULT_STORE,
    encoder: Encoder | None = None,
    source_options: SourceOptions | None = None,
    options: VerifyOptions | None = None,
    rejects: str | os.PathLike[str] | None = None,
    interrupt: AbstractContextManager[threading.Event] | None = None,
) -> VerifyReport:
    """Check what the store holds of a data set; while nobody writes to it.

    source   what was ingested; None: only what the store alone can tell is checked
    dataset  its name in the store; None: the source's, or the only one that there is
    encoder  None: the one that the data set was built with is loaded, if need be
    rejects  where a repair writes the items that it rejects, as JSON lines; None: nowhere
    interrupt  entered for the time of a repair, gives an event that ends it in order once it is set

    Memory grows by 64 bytes a row. Raises `QueryError` for an unknown data set, `SourceError`,
    `EncoderError` and `StoreError` when the check cannot run at all.
    """
    options = options or VerifyOptions()
    source = as_source(source, source_options)
    if options.prune and source is None:
        raise QueryError("without the source, nothing can be pruned: name it")
    name = dataset or (source.name if source is not None else None)
    with opened(store, must_exist=True) as connection:
        target = open_dataset(connection, name)
        if options.sample and encoder is None and not isinstance(source, Embeddings):
            encoder = load_encoder(target.manifest.encoder)
        if encoder is not None:
            target.manifest.require_encoder(
                encoder.spec.id,
                encoder.spec.fingerprint,
                "check it where that encoder is, or leave out the re-encoding (`sample=0`)",
            )
        report, spoiled = _check(source, target, connection.uri, encoder, options)
        if report.healthy or not options.repair:
            return report
        for collection in target.collections:
            collection.delete(spoiled[collection.modality])
        if source is not None:
            with interrupt or nullcontext() as halt:
                ingest(
                    source,
                    dataset=target.name,
                    store=connection,
                    model=encoder or target.manifest.encoder,
                    options=IngestOptions(
                        document=target.manifest.document or None,
                        prune=options.prune,
                        progress=options.progress,
                    ),
                    rejects=rejects,
                    interrupt=halt,
                )
        target = open_dataset(connection, target.name)
        if not check_manifests(target, VerifyReport(dataset=target.name, uri=connection.uri)):
            target = target.finish()
        mended, _ = _check(source, target, connection.uri, encoder, options)
        return replace(mended, repaired=dict(report.problems))


def _check(
    source: Source | Embeddings | None,
    dataset: Dataset,
    uri: str,
    encoder: Encoder | None,
    options: VerifyOptions,
) -> tuple[VerifyReport, RowsToDelete]:
    report = VerifyReport(dataset=dataset.name, uri=uri)
    check_manifests(dataset, report)
    rows = report.images + report.captions
    total = None if source is not None and source.size is None else rows
    if total is not None and source is not None:
        total += source.size or 0
    with closing(tqdm(total=total, unit="row", disable=None if options.progress else True)) as bar:
        if source is None:
            scan = Scan(dataset, None, report, options.sample, bar.update)
            sampled = scan.sampled
            items = stored_items(dataset, sampled[Modality.IMAGE], sampled[Modality.TEXT])
        else:
            expected, items = compare(source, dataset, report, options.sample, bar.update)
            scan = Scan(dataset, expected, report, 0, bar.update)
    known = None if isinstance(source, Embeddings) else encoder
    for modality, key in encode_again(items, known, dataset, report, decoding_of(source)):
        if source is not None:
            scan.spoiled[modality].append(key)
    return report, scan.spoiled
