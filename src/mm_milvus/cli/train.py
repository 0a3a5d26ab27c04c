"""mm-milvus train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.groups import (
    RUN,
    WEIGHTS,
    ChooseRejects,
    json_option,
    rejects_options,
    source_options,
)
from mm_milvus.cli.options import Flag, options_of
from mm_milvus.cli.output import print_json
from mm_milvus.cli.runs import exit_code, print_rejects, print_rejects_failure, rejects_path
from mm_milvus.pipeline.options import RunOptions
from mm_milvus.sources.options import SourceOptions
from mm_milvus.training.options import TrainOptions

if TYPE_CHECKING:
    from mm_milvus.training.report import TrainReport

LEARNING = "Learning"
TOWER = Flag(panel="Towers")

SHOWN_METRICS = ("text_to_image_recall@10", "image_to_text_recall@1")


@options_of(
    TrainOptions,
    panel=LEARNING,
    leave_out=("weight_decay", "held_out"),
    text_model=TOWER,
    image_model=TOWER,
    clip=TOWER,
    pooling=TOWER,
    features=TOWER,
    unfreeze=TOWER,
    document=WEIGHTS.flag(),
)
@options_of(RunOptions, panel=RUN, into="run", leave_out=("limit", "batch_size"))
@source_options()
@rejects_options
@json_option
def train(
    *,
    source: Annotated[
        str, typer.Argument(metavar="PATH", help="A folder, a table, tar shards, or their URI.")
    ],
    output: Annotated[str, typer.Option(metavar="DIR", help="The folder of the model.")],
    validation: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="A dataset to validate on (default: a share of PATH's items)."
        ),
    ] = None,
    as_json: bool,
    rejects: ChooseRejects,
    options: TrainOptions,
    source_options: SourceOptions,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue after the last finished epoch.", rich_help_panel=RUN
        ),
    ] = False,
    run: RunOptions,
) -> int:
    """Train a vector space that your images and texts share; the result is a model for `--model`.

    PATH is whatever `mm-milvus ingest` takes, with captions. A projection is trained over a frozen
    text model and a frozen image model; `--clip` takes both towers of a CLIP model instead, and
    `--unfreeze` trains all of it.

    Examples:

        mm-milvus train ./photos --output my-model
        mm-milvus train ./classes --caption-from-folder "a {}" --output my-classes
        mm-milvus train clicks.parquet --relevance clicks --output ranking
        mm-milvus train items.csv --document image=0.7,title=0.3 --output documents
        mm-milvus train ./photos --clip ./clip-vit-b32 --unfreeze --output tuned
    """
    from mm_milvus.sources.open import as_source
    from mm_milvus.training.train import train

    items = as_source(source, source_options)
    report = train(
        items,
        output,
        validation=validation,
        source_options=source_options,
        options=options,
        resume=resume,
        progress=run.progress,
        rejects=rejects(rejects_path(items.name)),
    )
    print_rejects_failure(report)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_report(report)
    return exit_code(report)


def _print_report(report: TrainReport) -> None:
    counts = ", ".join(f"{count:,} for {side}" for side, count in report.items.items())
    print(
        f"{report.dataset}: {counts}, {report.rejected:,} rejected; {report.epochs} epochs in "
        f"{report.seconds:.0f} s, the best is {report.best_epoch}"
    )
    for side, recalls in (("validation", report.validation), ("test", report.test)):
        if recalls:
            values = ", ".join(
                f"{name.replace('_', ' ')} {recalls[name]:.3f}" for name in SHOWN_METRICS
            )
            print(f"{side}: {values}")
    print_rejects(report)
    if report.interrupted:
        print("interrupted: run the same command with --resume to continue")
    if report.best_epoch:
        print(f"to use it: mm-milvus ingest PATH --model {report.model}")
