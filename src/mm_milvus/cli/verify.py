"""mm-milvus verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.groups import (
    RUN,
    SOURCE,
    ChooseRejects,
    OpenStore,
    json_option,
    rejects_options,
    source_options,
    store_options,
)
from mm_milvus.cli.options import options_of
from mm_milvus.cli.output import print_json
from mm_milvus.cli.runs import (
    interrupted_by_signals,
    print_rejects,
    print_rejects_failure,
    rejects_path,
)
from mm_milvus.cli.sources import open_as_before
from mm_milvus.sources.options import SourceOptions
from mm_milvus.text import visible
from mm_milvus.verification.options import VerifyOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_milvus.embeddings.parts import Embeddings
    from mm_milvus.sources.base import Source
    from mm_milvus.verification.report import ProblemKind, VerifyReport

EXIT_UNHEALTHY = 1


@store_options
@options_of(VerifyOptions, panel=RUN)
@source_options(switches=True)
@rejects_options
@json_option
def verify(
    *,
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="PATH", help="What was ingested: a folder, a table, tar shards, or their URI."
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Its name in the store (default: that of PATH, or the only dataset)."),
    ] = None,
    as_json: bool,
    rejects: ChooseRejects,
    store: OpenStore,
    embeddings: Annotated[
        bool,
        typer.Option(
            "--embeddings", help="PATH is what `mm-milvus encode` wrote.", rich_help_panel=SOURCE
        ),
    ] = False,
    source_options: SourceOptions,
    options: VerifyOptions,
) -> int:
    """Check that the store holds every row, once, under its key, with its vector.

    With PATH, what was ingested, the store is compared with it: missing, stale and extra rows
    are listed. Without it, only the store itself is checked. Do not write to the dataset
    meanwhile. The exit code is 0 if all is well, and 1 if problems are left.

    Examples:

        mm-milvus verify ./photos
        mm-milvus verify --dataset photos --sample 256
        mm-milvus verify ./photos --repair --prune
    """
    from mm_milvus.embeddings.parts import open_embeddings
    from mm_milvus.verification.verify import verify

    if embeddings and source is None:
        raise typer.BadParameter("--embeddings needs the PATH that mm-milvus encode wrote")
    connected = store()
    items: Source | Embeddings | None = None
    if source is not None and embeddings:
        items = open_embeddings(source)
    elif source is not None:
        items = open_as_before(source, source_options, connected, dataset, context)
    name = dataset or (items.name if items is not None else None)
    with interrupted_by_signals() as interrupt:
        report = verify(
            items,
            dataset=dataset,
            store=connected,
            options=options,
            rejects=None if name is None else rejects(rejects_path(name)),
            interrupt=interrupt,
        )
    print_rejects_failure(report)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_report(report)
    return 0 if report.healthy else EXIT_UNHEALTHY


def _print_report(report: VerifyReport) -> None:
    print(f"{report.dataset}: {report.images:,} images and {report.captions:,} captions stored")
    if report.items is not None:
        print(f"source: {report.items:,} items, {report.rejected:,} rejected")
    if report.least_cosine is not None:
        print(f"encoded again: {report.sampled:,}, the least cosine {report.least_cosine:.6f}")
    if report.repaired is not None:
        print(f"found, and set out to repair: {_counts(report.repaired)}")
    for problem in report.examples:
        print(visible(f"  {problem.kind:<9} {problem.where}: {problem.reason}"))
    print_rejects(report)
    if report.healthy:
        print("healthy")
    elif report.repaired is None:
        print(f"problems: {_counts(report.problems)}; --repair fixes them")
    else:
        print(f"problems left: {_counts(report.problems)}")


def _counts(problems: Mapping[ProblemKind, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in problems.items())
