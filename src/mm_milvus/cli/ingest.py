"""mm-milvus ingest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.interrupt import interrupted_by_signals
from mm_milvus.cli.options import (
    DEFAULT_MODEL,
    DEFAULT_URI,
    ENCODER,
    RUN,
    SOURCE,
    AllowOutside,
    BatchSize,
    CaptionColumn,
    CaptionFromFolder,
    DbName,
    Delimiter,
    Document,
    IdColumn,
    ImageColumn,
    Json,
    Limit,
    Model,
    NoProgress,
    Prune,
    Token,
    Uri,
    parse_document,
    rejects_path,
    source_options,
    store_of,
)
from mm_milvus.cli.report import encoder_hint, exit_code, summary

if TYPE_CHECKING:
    from mm_milvus.ingestion.ingest import IngestReport

OF_THE_ENCODING = (
    "model",
    "document",
    "batch_size",
    "image_column",
    "caption_column",
    "id_column",
    "delimiter",
    "caption_from_folder",
    "allow_outside",
)
"""The options that have no meaning where everything is encoded already."""

EXAMPLES = """
Bring images and captions into the store; run again, it encodes only what changed.

PATH is a folder of images, a table (csv, tsv, jsonl, parquet, arrow), WebDataset shards
(`data-{0000..0009}.tar`), or the URI of one of those (`s3://bucket/photos`). With
`--embeddings` it is what `mm-milvus encode` wrote.

**Examples**

    mm-milvus ingest ./photos

    mm-milvus ingest ./classes --caption-from-folder "a photo of a {}"

    mm-milvus ingest products.csv --caption-column title --promote price:double

    mm-milvus ingest 'shards/data-{0000..0009}.tar' --uri http://localhost:19530 --prune

    mm-milvus ingest s3://bucket/encoded --embeddings
"""


def ingest(
    context: typer.Context,
    path: Annotated[str, typer.Argument(help="A folder, a table, tar shards, or a URI of those.")],
    dataset: Annotated[
        str | None, typer.Option(help="Its name in the store; default: the folder's or file's.")
    ] = None,
    uri: Uri = DEFAULT_URI,
    token: Token = None,
    db_name: DbName = None,
    model: Model = DEFAULT_MODEL,
    document: Document = None,
    batch_size: BatchSize = None,
    index: Annotated[
        str | None,
        typer.Option(
            help="IVF_FLAT (default), IVF_SQ8, HNSW, FLAT, AUTOINDEX.", rich_help_panel=ENCODER
        ),
    ] = None,
    promote: Annotated[
        str | None,
        typer.Option(
            help="Metadata keys to make typed columns, for fast filters: "
            "price:double,color:varchar (varchar, double, int64, bool).",
            rich_help_panel=ENCODER,
        ),
    ] = None,
    add_encoder: Annotated[
        bool,
        typer.Option(
            "--add-encoder",
            help="Index a data set that was built with another encoder with this one as well.",
            rich_help_panel=ENCODER,
        ),
    ] = False,
    embeddings: Annotated[
        bool,
        typer.Option(
            "--embeddings",
            help="PATH is what mm-milvus encode wrote: store it, encode nothing.",
            rich_help_panel=SOURCE,
        ),
    ] = False,
    image_column: ImageColumn = None,
    caption_column: CaptionColumn = None,
    id_column: IdColumn = None,
    delimiter: Delimiter = None,
    caption_from_folder: CaptionFromFolder = None,
    allow_outside: AllowOutside = False,
    prune: Prune = False,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild",
            help="Fill new collections, which replace the former at the end; "
            "until then these answer queries.",
            rich_help_panel=RUN,
        ),
    ] = False,
    limit: Limit = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be done, and do nothing.", rich_help_panel=RUN
        ),
    ] = False,
    no_progress: NoProgress = False,
    as_json: Json = False,
) -> int:
    """Parse, ingest, print."""
    from mm_milvus.embeddings.parts import open_embeddings
    from mm_milvus.ingestion.ingest import ingest as run
    from mm_milvus.ingestion.options import IngestOptions
    from mm_milvus.sources.open import as_source

    if embeddings:
        _refuse_encoding(context)
    source = (
        open_embeddings(path)
        if embeddings
        else as_source(
            path,
            source_options(
                image_column,
                caption_column,
                id_column,
                delimiter,
                caption_from_folder,
                allow_outside,
            ),
        )
    )
    with interrupted_by_signals() as interrupt:
        report = run(
            source,
            dataset=dataset,
            store=store_of(uri, token, db_name),
            model=model,
            options=IngestOptions(
                document=parse_document(document) if document else None,
                promote=_parse_promote(promote) if promote else None,  # type: ignore[arg-type]
                index_type=index,  # type: ignore[arg-type]
                add_encoder=add_encoder,
                prune=prune,
                rebuild=rebuild,
                limit=limit,
                dry_run=dry_run,
                batch_size=batch_size,
                progress=not no_progress,
            ),
            rejects=rejects_path(dataset or source.name),
            interrupt=interrupt,
        )
    if as_json:
        print(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        _print_report(report, dry_run=dry_run)
        if not embeddings:
            encoder_hint(report)
    return exit_code(report)


ingest.__doc__ = EXAMPLES


def _refuse_encoding(context: typer.Context) -> None:
    for name in OF_THE_ENCODING:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"--embeddings are encoded already: leave out {option}")


def _parse_promote(text: str) -> dict[str, str]:
    columns = {}
    for part in text.split(","):
        name, colon, kind = (piece.strip() for piece in part.rpartition(":"))
        if not (name and colon and kind):
            raise typer.BadParameter(
                f"--promote has {part.strip()!r}; write KEY:TYPE, as in price:double"
            )
        columns[name] = kind
    return columns


def _print_report(report: IngestReport, *, dry_run: bool) -> None:
    print(summary(report, "would store" if dry_run else "stored"))
    print(f"model {report.model}, store {report.uri}")
    if report.rejects_file:
        print(f"the rejects, with their reasons: {report.rejects_file}")
    if report.interrupted:
        print("interrupted: what is encoded is stored; run the same command again to go on")
