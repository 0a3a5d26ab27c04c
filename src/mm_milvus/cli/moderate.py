"""mm-milvus moderate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_milvus.cli.findings_table import FindingsTable
from mm_milvus.cli.interrupt import interrupted_by_signals
from mm_milvus.cli.options import (
    DEFAULT_MODEL,
    AllowOutside,
    BatchSize,
    Delimiter,
    IdColumn,
    ImageColumn,
    Json,
    Limit,
    Model,
    NoProgress,
    Output,
    rejects_path,
    source_options,
)
from mm_milvus.cli.report import exit_code, judged

if TYPE_CHECKING:
    from mm_milvus.zeroshot.moderate import ModerateReport

POLICY = "Policy"

EXAMPLES = """
Flag the images that look like what a policy calls unsafe; without training.

The policy is a TOML file of prompts. PATH is whatever `mm-milvus ingest` takes, or one image. It
finds candidates for people to look at; with compact it is a demonstration.

**Examples**

    mm-milvus moderate ./uploads --model laion/CLIP-ViT-B-32-laion2B-s34B-b79K

    mm-milvus moderate ./uploads --policy policy.toml --threshold 0.8 --output findings.csv
"""


def moderate(
    path: Annotated[str, typer.Argument(help="Images: one, a folder, a table, tar shards.")],
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A TOML file; default: one of ours.", rich_help_panel=POLICY
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="0 to 1; default: the policy's own.", rich_help_panel=POLICY),
    ] = None,
    model: Model = DEFAULT_MODEL,
    output: Output = None,
    image_column: ImageColumn = None,
    id_column: IdColumn = None,
    delimiter: Delimiter = None,
    allow_outside: AllowOutside = False,
    batch_size: BatchSize = None,
    limit: Limit = None,
    no_progress: NoProgress = False,
    as_json: Json = False,
) -> int:
    """Parse, moderate, print."""
    from mm_milvus.pipeline.options import RunOptions
    from mm_milvus.sources.open import as_source
    from mm_milvus.zeroshot.moderate import moderate as run

    shown = FindingsTable(whole=as_json, only="flagged")
    source = as_source(
        path, source_options(image_column, None, id_column, delimiter, None, allow_outside)
    )
    with interrupted_by_signals() as interrupt:
        report = run(
            source,
            policy,
            output=output or shown.receive,
            threshold=threshold,
            model=model,
            options=RunOptions(limit=limit, batch_size=batch_size, progress=not no_progress),
            rejects=rejects_path(f"{source.name}.moderate"),
            interrupt=interrupt,
        )
    if as_json:
        found: dict[str, Any] = {} if output else {"flags": shown.rows}
        print(json.dumps({**report.to_dict(), **found}, ensure_ascii=False))
    else:
        _print_report(report, shown)
    return exit_code(report)


moderate.__doc__ = EXAMPLES


def _print_report(report: ModerateReport, shown: FindingsTable) -> None:
    shown.print(
        ["item", "category", "probability"],
        lambda row: [row["item_id"], row["category"], f"{row['probability']:.3f}"],
    )
    counts = ", ".join(f"{name} {count:,}" for name, count in report.categories.items())
    print(f"flagged: {report.flagged:,} of {report.images:,} images ({counts})")
    judged(report)
    if report.model == "compact":
        print(
            "compact only shows how this works: it knows little of such pictures; name a CLIP "
            "model: --model laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
        )
