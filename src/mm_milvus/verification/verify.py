"""The verb `verify`: check a stored dataset, and repair it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.embeddings.parts import Embeddings
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import load_encoder
from mm_milvus.errors import OptionError
from mm_milvus.ingestion.ingest import ingest
from mm_milvus.ingestion.options import IngestOptions
from mm_milvus.ingestion.remembered import open_as_before, stored_options
from mm_milvus.progress import show_progress
from mm_milvus.schema import Modality
from mm_milvus.sources.base import Source
from mm_milvus.sources.opened import decoding_of
from mm_milvus.sources.options import SourceOptions
from mm_milvus.store.connection import StoreLike, opened
from mm_milvus.store.dataset import Dataset, open_dataset
from mm_milvus.store.deprecated import accepts_old_keywords
from mm_milvus.verification.options import VerifyOptions
from mm_milvus.verification.report import VerifyReport
from mm_milvus.verification.sample import encode_again, stored_items
from mm_milvus.verification.scan import RowsToDelete, Scan, check_manifests
from mm_milvus.verification.source import compare


@accepts_old_keywords
def verify(
    source: str | os.PathLike[str] | Source | Embeddings | None = None,
    *,
    dataset: str | None = None,
    store: StoreLike = DEFAULT_STORE,
    encoder: Encoder | None = None,
    source_options: SourceOptions | Mapping[str, Any] | None = None,
    options: VerifyOptions | None = None,
    rejects: str | os.PathLike[str] | None = None,
    interrupt: threading.Event | None = None,
) -> VerifyReport:
    """Check that the store holds a dataset as its source has it, and repair it if asked to.

    Run it while nobody writes to the dataset. It takes 64 bytes of memory per row.

    Args:
        source: What was ingested: whatever `ingest` takes. Without it, the stored rows are checked
            for consistency only.
        dataset: Name in the store (default: the source's name, or the only one in the store).
        store: A Milvus Lite file (`*.db`), the URI of a server, or an open `Store`.
        encoder: Encodes the sample again (default: the one that the dataset was built with,
            loaded if it is needed).
        source_options: How to read the source, as `ingest` takes it (default: as the last ingest
            of the dataset did).
        options: What to check, and whether to repair.
        rejects: Where a repair writes rejected items with their reasons, as JSON lines (default:
            nowhere).
        interrupt: An event that ends the call once it is set. A check then raises
            KeyboardInterrupt; the ingest of a repair stores what is encoded, and what remains is
            checked.

    Returns:
        The problems, with examples; after a repair, those that remain.

    Raises:
        OptionError: When `prune` is set without a source.
        QueryError: When there is no such dataset.
        SourceError: When the source cannot be read as it was named.
        EncoderError: When the encoder cannot be loaded.
        StoreError: When the store cannot be reached, or holds vectors of another encoder.
    """
    options = options or VerifyOptions()
    if options.prune and source is None:
        raise OptionError("`prune` needs the source: name it")
    with opened(store, must_exist=True) as connected:
        if isinstance(source, str | os.PathLike):
            source, _ = open_as_before(source, source_options, connected, dataset)
        name = dataset or (source.name if source is not None else None)
        target = open_dataset(connected, name)
        if options.sample and encoder is None and not isinstance(source, Embeddings):
            encoder = load_encoder(target.manifest.encoder)
        if encoder is not None:
            target.manifest.require_encoder(
                encoder.spec.id,
                encoder.spec.fingerprint,
                "check it with that encoder, or encode nothing again (`sample=0`)",
            )
        report, to_delete = _check(source, target, connected.uri, encoder, options, interrupt)
        if report.healthy or not options.repair:
            return report
        for collection in target.collections:
            collection.delete(to_delete[collection.modality])
        ingested = None
        if source is not None:
            ingested = ingest(
                source,
                dataset=target.name,
                store=connected,
                model=encoder or target.manifest.encoder,
                options=IngestOptions(
                    document=target.manifest.document or None,
                    prune=options.prune,
                    progress=options.progress,
                ),
                rejects=rejects,
                interrupt=interrupt,
            )
        target = open_dataset(connected, target.name)
        if not check_manifests(target, VerifyReport(dataset=target.name, uri=connected.uri)):
            target = target.finish()
        # Also after an interrupted repair: the report shows what remains.
        repaired, _ = _check(source, target, connected.uri, encoder, options, None)
        repaired = replace(repaired, repaired=dict(report.problems))
        if ingested is None:
            return repaired
        return replace(
            repaired,
            rejects=ingested.rejects,
            rejects_file=ingested.rejects_file,
            rejects_failure=ingested.rejects_failure,
            interrupted=ingested.interrupted,
        )


def _check(
    source: Source | Embeddings | None,
    dataset: Dataset,
    uri: str,
    encoder: Encoder | None,
    options: VerifyOptions,
    interrupt: threading.Event | None,
) -> tuple[VerifyReport, RowsToDelete]:
    """Return all problems, and the rows that a repair deletes."""

    def advance(rows: int) -> None:
        bar.update(rows)
        if interrupt is not None and interrupt.is_set():
            raise KeyboardInterrupt

    report = VerifyReport(dataset=dataset.name, uri=uri)
    check_manifests(dataset, report)
    rows = report.images + report.captions
    size = 0 if source is None else source.size
    total = None if size is None else rows + size
    with show_progress(options.progress, unit="rows", total=total) as bar:
        if source is None:
            scan = Scan(dataset, None, report, options.sample, advance)
            items = stored_items(dataset, scan.sample(Modality.IMAGE), scan.sample(Modality.TEXT))
        else:
            source_keys, items = compare(source, dataset, report, options.sample, advance)
            scan = Scan(dataset, source_keys, report, 0, advance)
    # The items of embeddings have their vectors already.
    sample_encoder = None if isinstance(source, Embeddings) else encoder
    decoding = stored_options(dataset.manifest).decoding if source is None else decoding_of(source)
    for modality, key in encode_again(items, sample_encoder, dataset, report, decoding):
        if source is not None:
            scan.to_delete[modality].append(key)
    return report, scan.to_delete
