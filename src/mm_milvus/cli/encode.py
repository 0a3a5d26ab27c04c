"""mm-milvus encode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.groups import (
    BATCH_SIZE,
    DOCUMENT,
    RUN,
    ChooseRejects,
    json_option,
    model_option,
    rejects_options,
    source_options,
)
from mm_milvus.cli.options import options_of
from mm_milvus.cli.output import print_json
from mm_milvus.cli.runs import (
    exit_code,
    interrupted_by_signals,
    print_encoder_hint,
    print_notes,
    print_rejects,
    print_rejects_failure,
    print_skipped_files,
    summary,
)
from mm_milvus.embeddings.options import EncodeOptions
from mm_milvus.sources.options import SourceOptions

if TYPE_CHECKING:
    from mm_milvus.embeddings.encode import EncodeReport


@model_option
@options_of(EncodeOptions, panel=RUN, document=DOCUMENT, batch_size=BATCH_SIZE)
@source_options()
@rejects_options
@json_option
def encode(
    *,
    source: Annotated[
        str, typer.Argument(metavar="PATH", help="A folder, a table, tar shards, or their URI.")
    ],
    output: Annotated[
        str, typer.Option(metavar="DIR", help="The local folder to write the parts to.")
    ],
    as_json: bool,
    rejects: ChooseRejects,
    model: str,
    options: EncodeOptions,
    source_options: SourceOptions,
) -> int:
    """Write embeddings to Parquet files; run again, it encodes only what changed.

    PATH is whatever `mm-milvus ingest` takes. `mm-milvus ingest DIR --embeddings` stores the
    result, on this machine or another.

    Examples:

        mm-milvus encode ./photos --output encoded
        mm-milvus encode products.csv --output encoded --id-column sku
        mm-milvus ingest encoded --embeddings --uri http://localhost:19530
    """
    from mm_milvus.embeddings.encode import REJECTS, encode

    with interrupted_by_signals() as interrupt:
        report = encode(
            source,
            output,
            model=model,
            source_options=source_options,
            options=options,
            rejects=rejects(Path(output) / REJECTS),
            interrupt=interrupt,
        )
    print_rejects_failure(report)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_report(report)
    return exit_code(report)


def _print_report(report: EncodeReport) -> None:
    print(summary(report, "encoded"))
    noun = "part" if report.parts == 1 else "parts"
    print(f"model {report.model}, {report.parts:,} {noun} written to {report.output}")
    print_rejects(report)
    print_skipped_files(report)
    print_notes(report)
    if report.interrupted:
        print("interrupted: what is encoded is kept; run the same command again to continue")
    else:
        print(f"to store it: mm-milvus ingest {report.output} --embeddings")
    print_encoder_hint(report)
