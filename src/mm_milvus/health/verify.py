"""The check as a whole, and the mending of what it finds."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace

from tqdm import tqdm

from mm_milvus.embeddings import Embeddings
from mm_milvus.encoders import Encoder, load_encoder
from mm_milvus.errors import QueryError
from mm_milvus.health.report import VerifyReport
from mm_milvus.health.sample import encode_again, stored_items
from mm_milvus.health.source import compare
from mm_milvus.health.store import Scan, Spoiled, check_manifests
from mm_milvus.pipeline import IngestOptions, ingest
from mm_milvus.schema import Modality
from mm_milvus.sources import Source, SourceOptions, as_source
from mm_milvus.store import Connection, Dataset, open_dataset, require_file

DEFAULT_SAMPLE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """How to check.

    sample    items to encode again; without a source, so many images and so many captions
    repair    delete what is of no use, and ingest what is missing or stale
    prune     with repair: delete what the source no longer has
    progress  draw a bar on stderr, when that is a terminal
    """

    sample: int = DEFAULT_SAMPLE
    repair: bool = False
    prune: bool = False
    progress: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with a `QueryError`."""
        if self.sample < 0:
            raise QueryError(f"the sample is {self.sample}, and must be at least 0")
        if self.prune and not self.repair:
            raise QueryError("prune is a kind of repair: add --repair")


def verify(
    source: str | os.PathLike[str] | Source | Embeddings | None = None,
    *,
    dataset: str | None = None,
    uri: str,
    token: str | None = None,
    db_name: str | None = None,
    encoder: Encoder | None = None,
    source_options: SourceOptions | None = None,
    options: VerifyOptions | None = None,
) -> VerifyReport:
    """Check what the store holds of a data set; while nobody writes to it.

    source   what was ingested; None: only what the store alone can tell is checked
    dataset  its name in the store; None: the source's, or the only one that there is
    encoder  None: the one that the data set was built with is loaded, if need be

    Memory grows by 64 bytes a row. Raises `QueryError` for an unknown data set, `SourceError`,
    `EncoderError` and `StoreError` when the check cannot run at all.
    """
    require_file(uri)
    options = options or VerifyOptions()
    source = as_source(source, source_options)
    if options.prune and source is None:
        raise QueryError("without the source, nothing can be pruned: name it")
    name = dataset or (source.name if source is not None else None)
    with Connection(uri, token=token, db_name=db_name) as connection:
        opened = open_dataset(connection, name)
        if options.sample and encoder is None and not isinstance(source, Embeddings):
            encoder = load_encoder(opened.manifest.encoder)
        if encoder is not None:
            opened.manifest.require_encoder(
                encoder.spec.id,
                encoder.spec.fingerprint,
                "check it where that encoder is, or leave out the re-encoding (--sample 0)",
            )
        report, spoiled = _check(source, opened, connection.uri, encoder, options)
        if report.healthy or not options.repair:
            return report
        for collection in opened.collections:
            collection.delete(spoiled[collection.modality])
        if source is not None:
            ingest(
                source,
                dataset=opened.name,
                uri=uri,
                token=token,
                db_name=db_name,
                model=encoder or opened.manifest.encoder,
                options=IngestOptions(
                    document=opened.manifest.document or None,
                    prune=options.prune,
                    progress=options.progress,
                ),
            )
        opened = open_dataset(connection, opened.name)
        if not check_manifests(opened, VerifyReport(dataset=opened.name, uri=connection.uri)):
            opened = opened.finish()
        mended, _ = _check(source, opened, connection.uri, encoder, options)
        return replace(mended, repaired=dict(report.problems))


def _check(
    source: Source | Embeddings | None,
    dataset: Dataset,
    uri: str,
    encoder: Encoder | None,
    options: VerifyOptions,
) -> tuple[VerifyReport, Spoiled]:
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
    for modality, key in encode_again(items, known, dataset, report):
        if source is not None:
            scan.spoiled[modality].append(key)
    return report, scan.spoiled
