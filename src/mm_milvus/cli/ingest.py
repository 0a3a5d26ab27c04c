"""mm-milvus ingest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.options import DEFAULT_URI, DbName, Json, Token, Uri

if TYPE_CHECKING:
    from mm_milvus.pipeline import IngestReport

EXIT_REJECTED = 3
EXIT_INTERRUPTED = 130

SOURCE, ENCODER, RUN = "Source", "Encoder and index", "Run"

EXAMPLES = """
Bring images and captions into the store; run again, it encodes only what changed.

PATH is a folder of images, a table (csv, tsv, jsonl, parquet, arrow), WebDataset shards
(`data-{0000..0009}.tar`), or the URI of one of those (`s3://bucket/photos`).

**Examples**

    mm-milvus ingest ./photos

    mm-milvus ingest ./classes --caption-from-folder "a photo of a {}"

    mm-milvus ingest products.csv --caption-column title --promote price:double

    mm-milvus ingest 'shards/data-{0000..0009}.tar' --uri http://localhost:19530 --prune
"""


def ingest(
    path: Annotated[str, typer.Argument(help="A folder, a table, tar shards, or a URI of those.")],
    dataset: Annotated[
        str | None, typer.Option(help="Its name in the store; default: the folder's or file's.")
    ] = None,
    uri: Uri = DEFAULT_URI,
    token: Token = None,
    db_name: DbName = None,
    model: Annotated[
        str,
        typer.Option(
            envvar="MM_MILVUS_MODEL",
            help="compact, a CLIP-like model by hub id (ID@REVISION), or its local folder.",
            rich_help_panel=ENCODER,
        ),
    ] = "compact",
    batch_size: Annotated[
        int | None,
        typer.Option(help="Images a call of the encoder; default: found.", rich_help_panel=ENCODER),
    ] = None,
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
    image_column: Annotated[
        str | None, typer.Option(help="Where a table has the image.", rich_help_panel=SOURCE)
    ] = None,
    caption_column: Annotated[
        list[str] | None,
        typer.Option(help="Where a table has captions; repeatable.", rich_help_panel=SOURCE),
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(help="Where a table has the item id.", rich_help_panel=SOURCE)
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="What separates a table's columns.", rich_help_panel=SOURCE)
    ] = None,
    caption_from_folder: Annotated[
        str | None,
        typer.Option(
            help='Caption images by their folder: "a photo of a {}".', rich_help_panel=SOURCE
        ),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete what left the data set.", rich_help_panel=RUN)
    ] = False,
    limit: Annotated[
        int | None, typer.Option(help="Stop after this many items.", rich_help_panel=RUN)
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be done, and do nothing.", rich_help_panel=RUN
        ),
    ] = False,
    no_progress: Annotated[
        bool, typer.Option("--no-progress", help="Draw no bar.", rich_help_panel=RUN)
    ] = False,
    as_json: Json = False,
) -> int:
    """Parse, ingest, print."""
    from mm_milvus.pipeline import IngestOptions
    from mm_milvus.pipeline import ingest as run
    from mm_milvus.sources import SourceOptions

    report = run(
        path,
        dataset=dataset,
        uri=uri,
        token=token,
        db_name=db_name,
        model=model,
        source_options=SourceOptions(
            image_column=image_column,
            caption_columns=tuple(caption_column or ()),
            id_column=id_column,
            delimiter=delimiter,
            caption_from_folder=caption_from_folder,
        ),
        options=IngestOptions(
            promote=_parse_promote(promote) if promote else None,
            index_type=index,
            prune=prune,
            limit=limit,
            dry_run=dry_run,
            batch_size=batch_size,
            progress=not no_progress,
        ),
    )
    if as_json:
        print(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        _print_report(report, dry_run=dry_run)
    if report.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_REJECTED if report.rejected else 0


ingest.__doc__ = EXAMPLES


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
    verb = "would store" if dry_run else "stored"
    print(
        f"{report.dataset}: {report.items:,} items read in {report.seconds:.1f} s "
        f"({report.images_per_second:,.1f}/s); {verb} {report.images:,} images and "
        f"{report.captions:,} captions; {report.skipped:,} items unchanged, "
        f"{report.pruned:,} rows pruned, {report.rejected:,} rejected"
    )
    print(f"model {report.model}, store {report.uri}")
    if report.rejects_file:
        print(f"the rejects, with their reasons: {report.rejects_file}")
    if report.interrupted:
        print("interrupted: what is encoded is stored; run the same command again to go on")
    if report.model == "compact" and report.images:
        print(
            "compact is small and runs anywhere; a CLIP model ranks better: "
            "--model laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
        )
