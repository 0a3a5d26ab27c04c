"""mm-milvus ingest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.groups import (
    BATCH_SIZE,
    DOCUMENT,
    ENCODER,
    RUN,
    SOURCE,
    ChooseRejects,
    OpenStore,
    json_option,
    model_option,
    rejects_options,
    source_options,
    store_options,
)
from mm_milvus.cli.messages import option_names
from mm_milvus.cli.options import Flag, Pairs, options_of
from mm_milvus.cli.output import print_json
from mm_milvus.cli.runs import (
    exit_code,
    interrupted_by_signals,
    print_encoder_hint,
    print_notes,
    print_rejects,
    print_rejects_failure,
    print_skipped_files,
    rejects_path,
    summary,
)
from mm_milvus.cli.sources import open_as_before
from mm_milvus.ingestion.options import IngestOptions
from mm_milvus.sources.options import SourceOptions

if TYPE_CHECKING:
    from mm_milvus.ingestion.ingest import IngestReport

ENCODING = ("model", "document", "batch_size", *SourceOptions.__dataclass_fields__)
"""Parameters that have no meaning where everything is encoded already."""

PROMOTE = Pairs("--promote", ":", "KEY:TYPE", "price:double", str)


@store_options
@model_option
@options_of(
    IngestOptions,
    panel=RUN,
    document=DOCUMENT,
    batch_size=BATCH_SIZE,
    index_type=Flag(names=("--index",), panel=ENCODER),
    promote=PROMOTE.flag(panel=ENCODER),
    add_encoder=Flag(panel=ENCODER),
)
@source_options(switches=True)
@rejects_options
@json_option
def ingest(
    *,
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="PATH", help="A folder, a table, tar shards, or their URI.")
    ],
    dataset: Annotated[
        str | None,
        typer.Option(help="Its name in the store (default: the name of the folder or file)."),
    ] = None,
    as_json: bool,
    rejects: ChooseRejects,
    store: OpenStore,
    model: str,
    options: IngestOptions,
    embeddings: Annotated[
        bool,
        typer.Option(
            "--embeddings",
            help="PATH is what `mm-milvus encode` wrote: store it without encoding.",
            rich_help_panel=SOURCE,
        ),
    ] = False,
    source_options: SourceOptions,
) -> int:
    """Bring images and captions into the store; run again, it encodes only what changed.

    PATH is a folder of images, a table (csv, tsv, jsonl, parquet, arrow), WebDataset shards
    (`data-{0000..0009}.tar`), or the URI of one of those (`s3://bucket/photos`). With
    `--embeddings` it is what `mm-milvus encode` wrote.

    Examples:

        mm-milvus ingest ./photos
        mm-milvus ingest ./classes --caption-from-folder "a photo of a {}"
        mm-milvus ingest items.csv --caption-column title --promote price:double
        mm-milvus ingest 'shards/{0000..0009}.tar' --uri http://localhost:19530
        mm-milvus ingest s3://bucket/encoded --embeddings
    """
    from mm_milvus.embeddings.parts import open_embeddings
    from mm_milvus.ingestion.ingest import ingest

    if embeddings:
        _reject_encoding_options(context)
    connected = store()
    opened = (
        open_embeddings(source)
        if embeddings
        else open_as_before(source, source_options, connected, dataset, context)
    )
    with interrupted_by_signals() as interrupt:
        report = ingest(
            opened,
            dataset=dataset,
            store=connected,
            model=model,
            options=options,
            rejects=rejects(rejects_path(dataset or opened.name)),
            interrupt=interrupt,
        )
    print_rejects_failure(report)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_report(report, dry_run=options.dry_run)
        if not embeddings:
            print_encoder_hint(report)
    return exit_code(report)


def _reject_encoding_options(context: typer.Context) -> None:
    names = option_names(context.command.params)
    for name in ENCODING:
        origin = context.get_parameter_source(name)
        if origin is not None and origin.name == "COMMANDLINE":
            raise typer.BadParameter(f"--embeddings are encoded already: leave out {names[name]}")


def _print_report(report: IngestReport, *, dry_run: bool) -> None:
    print(summary(report, "would store" if dry_run else "stored"))
    print(f"model {report.model}, store {report.uri}")
    print_rejects(report)
    print_skipped_files(report)
    print_notes(report)
    if report.unfit_values:
        counts = ", ".join(f"{key} {count:,}" for key, count in report.unfit_values.items())
        print(f"values that do not fit the type of their column: {counts}; filters find them")
    if report.keys_without_column:
        keys = ", ".join(report.keys_without_column)
        print(f"no columns for {keys}: filters on these are slower, until the next --rebuild")
    if report.interrupted:
        print("interrupted: what is encoded is stored; run the same command again to continue")
