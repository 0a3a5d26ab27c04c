"""mm-milvus verify."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.options import (
    DEFAULT_URI,
    RUN,
    SOURCE,
    AllowOutside,
    CaptionColumn,
    CaptionFromFolder,
    DbName,
    Delimiter,
    IdColumn,
    ImageColumn,
    Json,
    NoProgress,
    Token,
    Uri,
    source_options,
    store_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_milvus.verification.report import Kind, VerifyReport

EXIT_UNHEALTHY = 1

EXAMPLES = """
Check that the store holds what it should: every row, once, under its key, with its vector.

With PATH, what was ingested, it is held against that: what is missing, stale or extra is told.
Without it, only what the store alone can tell is checked. Run it while nobody writes.
Ends with 0 where all is well, and with 1 where problems are left.

**Examples**

    mm-milvus verify ./photos

    mm-milvus verify --dataset photos --sample 256

    mm-milvus verify ./photos --repair --prune
"""


def verify(
    path: Annotated[
        str | None, typer.Argument(help="What was ingested: a folder, a table, shards, a URI.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Its name in the store; default: that of PATH, or the only one there."),
    ] = None,
    uri: Uri = DEFAULT_URI,
    token: Token = None,
    db_name: DbName = None,
    embeddings: Annotated[
        bool,
        typer.Option(
            "--embeddings", help="PATH is what mm-milvus encode wrote.", rich_help_panel=SOURCE
        ),
    ] = False,
    image_column: ImageColumn = None,
    caption_column: CaptionColumn = None,
    id_column: IdColumn = None,
    delimiter: Delimiter = None,
    caption_from_folder: CaptionFromFolder = None,
    allow_outside: AllowOutside = False,
    sample: Annotated[
        int, typer.Option(help="Encode so many items again; 0: none.", rich_help_panel=RUN)
    ] = 32,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Delete what is of no use, ingest what is missing or stale.",
            rich_help_panel=RUN,
        ),
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="With --repair: delete what left the data set.", rich_help_panel=RUN
        ),
    ] = False,
    no_progress: NoProgress = False,
    as_json: Json = False,
) -> int:
    """Parse, verify, print."""
    from mm_milvus.embeddings.parts import open_embeddings
    from mm_milvus.verification.options import VerifyOptions
    from mm_milvus.verification.verify import verify as run

    if embeddings and path is None:
        raise typer.BadParameter("--embeddings needs the PATH that mm-milvus encode wrote")
    report = run(
        open_embeddings(path) if embeddings and path is not None else path,
        dataset=dataset,
        store=store_of(uri, token, db_name),
        source_options=source_options(
            image_column, caption_column, id_column, delimiter, caption_from_folder, allow_outside
        ),
        options=VerifyOptions(sample=sample, repair=repair, prune=prune, progress=not no_progress),
    )
    if as_json:
        print(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        _print_report(report)
    return 0 if report.healthy else EXIT_UNHEALTHY


verify.__doc__ = EXAMPLES


def _print_report(report: VerifyReport) -> None:
    print(f"{report.dataset}: {report.images:,} images and {report.captions:,} captions stored")
    if report.items is not None:
        print(f"the source: {report.items:,} items, {report.rejected:,} rejected")
    if report.least_cosine is not None:
        print(f"encoded again: {report.sampled:,}, the least cosine {report.least_cosine:.6f}")
    if report.repaired is not None:
        print(f"found and set out to mend: {_counts(report.repaired)}")
    for problem in report.examples:
        print(f"  {problem.kind:<9} {problem.where}: {problem.reason}")
    if report.healthy:
        print("healthy")
    elif report.repaired is None:
        print(f"problems: {_counts(report.problems)}; --repair mends them")
    else:
        print(f"problems left: {_counts(report.problems)}")


def _counts(problems: Mapping[Kind, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in problems.items())
