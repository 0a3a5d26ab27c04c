"""mm-milvus encode."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.interrupt import interrupted_by_signals
from mm_milvus.cli.options import (
    DEFAULT_MODEL,
    AllowOutside,
    BatchSize,
    CaptionColumn,
    CaptionFromFolder,
    Delimiter,
    Document,
    IdColumn,
    ImageColumn,
    Json,
    Limit,
    Model,
    NoProgress,
    Prune,
    parse_document,
    source_options,
)
from mm_milvus.cli.report import encoder_hint, exit_code, summary

if TYPE_CHECKING:
    from mm_milvus.embeddings.encode import EncodeReport

EXAMPLES = """
Write embeddings to Parquet files, for another machine to store; run again, only what changed.

PATH is whatever `mm-milvus ingest` takes. `mm-milvus ingest DIR --embeddings` stores the result.

**Examples**

    mm-milvus encode ./photos --output encoded

    mm-milvus encode products.csv --output encoded --model laion/CLIP-ViT-B-32-laion2B-s34B-b79K

    mm-milvus ingest encoded --embeddings --uri http://localhost:19530
"""


def encode(
    path: Annotated[str, typer.Argument(help="A folder, a table, tar shards, or a URI of those.")],
    output: Annotated[
        str, typer.Option(metavar="DIR", help="The local folder to write the parts to.")
    ],
    model: Model = DEFAULT_MODEL,
    document: Document = None,
    batch_size: BatchSize = None,
    image_column: ImageColumn = None,
    caption_column: CaptionColumn = None,
    id_column: IdColumn = None,
    delimiter: Delimiter = None,
    caption_from_folder: CaptionFromFolder = None,
    allow_outside: AllowOutside = False,
    prune: Prune = False,
    limit: Limit = None,
    no_progress: NoProgress = False,
    as_json: Json = False,
) -> int:
    """Parse, encode, print."""
    from mm_milvus.embeddings.encode import encode as run
    from mm_milvus.embeddings.options import EncodeOptions

    with interrupted_by_signals() as interrupt:
        report = run(
            path,
            output,
            model=model,
            source_options=source_options(
                image_column,
                caption_column,
                id_column,
                delimiter,
                caption_from_folder,
                allow_outside,
            ),
            options=EncodeOptions(
                document=parse_document(document) if document else None,
                prune=prune,
                limit=limit,
                batch_size=batch_size,
                progress=not no_progress,
            ),
            interrupt=interrupt,
        )
    if as_json:
        print(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        _print_report(report)
    return exit_code(report)


encode.__doc__ = EXAMPLES


def _print_report(report: EncodeReport) -> None:
    print(summary(report, "encoded"))
    print(f"model {report.model}, {report.parts:,} parts written to {report.output}")
    if report.rejects_file:
        print(f"the rejects, with their reasons: {report.rejects_file}")
    if report.interrupted:
        print("interrupted: what is encoded is kept; run the same command again to go on")
    else:
        print(f"to store it: mm-milvus ingest {report.output} --embeddings")
    encoder_hint(report)
