"""mm-milvus moderate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_milvus.cli.findings import FindingsTable, print_judged
from mm_milvus.cli.groups import (
    BATCH_SIZE,
    RUN,
    ChooseRejects,
    Findings,
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
    print_rejects_failure,
    rejects_path,
)
from mm_milvus.pipeline.options import RunOptions
from mm_milvus.sources.options import SourceOptions

if TYPE_CHECKING:
    from mm_milvus.zeroshot.moderate import ModerateReport

POLICY = "Policy"


@model_option
@options_of(RunOptions, panel=RUN, batch_size=BATCH_SIZE)
@source_options(captions=False)
@rejects_options
@json_option
def moderate(
    *,
    source: Annotated[
        str, typer.Argument(metavar="PATH", help="An image, a folder, a table, or tar shards.")
    ],
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A TOML file (default: the policy that mm-milvus brings).",
            rich_help_panel=POLICY,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Probability from which an image is flagged, 0 to 1 (default: the policy's).",
            rich_help_panel=POLICY,
        ),
    ] = None,
    as_json: bool,
    rejects: ChooseRejects,
    model: str,
    output: Findings = None,
    source_options: SourceOptions,
    options: RunOptions,
) -> int:
    """Flag the images that look like what a policy calls unsafe, without training.

    The policy is a TOML file of prompts. PATH is whatever `mm-milvus ingest` takes, or one image.
    The findings are candidates for people to look at; with compact they are a demonstration.

    Examples:

        mm-milvus moderate ./uploads --model laion/CLIP-ViT-B-32-laion2B-s34B-b79K
        mm-milvus moderate ./uploads --policy policy.toml --threshold 0.8
    """
    from mm_milvus.sources.open import as_source
    from mm_milvus.zeroshot.moderate import moderate

    table = FindingsTable(keep_all=as_json, only="flagged")
    images = as_source(source, source_options)
    with interrupted_by_signals() as interrupt:
        report = moderate(
            images,
            policy,
            output=output or table.receive,
            threshold=threshold,
            model=model,
            options=options,
            rejects=rejects(rejects_path(f"{images.name}.moderate")),
            interrupt=interrupt,
        )
    print_rejects_failure(report)
    if as_json:
        flags: dict[str, Any] = {} if output else {"flags": table.rows}
        print_json({**report.to_dict(), **flags})
    else:
        _print_report(report, table)
    return exit_code(report)


def _print_report(report: ModerateReport, table: FindingsTable) -> None:
    table.print(
        ["item", "category", "probability"],
        lambda row: [row["item_id"], row["category"], f"{row['probability']:.3f}"],
    )
    counts = ", ".join(f"{name} {count:,}" for name, count in report.categories.items())
    print(f"flagged: {report.flagged:,} of {report.images:,} images ({counts})")
    print_judged(report)
    if report.model == "compact":
        print(
            "compact only demonstrates moderation, it knows little of such images; name a CLIP "
            "model: --model laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
        )
