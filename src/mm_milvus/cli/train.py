"""mm-milvus train."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.options import (
    RUN,
    AllowOutside,
    CaptionColumn,
    CaptionFromFolder,
    Delimiter,
    IdColumn,
    ImageColumn,
    Json,
    NoProgress,
    parse_document,
    rejects_path,
    source_options,
)
from mm_milvus.cli.report import exit_code

if TYPE_CHECKING:
    from mm_milvus.training.report import TrainReport

TOWERS, LEARNING = "Towers", "Learning"

SHOWN = ("text_to_image_recall@10", "image_to_text_recall@1")

EXAMPLES = """
Learn a space that your images and texts share; the result is a model for --model.

PATH is whatever `mm-milvus ingest` takes, with captions. A projection is learned over a frozen
text model and a frozen image model; `--clip` takes both towers of a CLIP model instead, and
`--unfreeze` trains all of it.

**Examples**

    mm-milvus train ./photos --output my-model

    mm-milvus train ./classes --caption-from-folder "a photo of a {}" --output my-classes

    mm-milvus train clicks.parquet --caption-column query --relevance clicks --output ranking

    mm-milvus train products.csv --document image=0.7,title=0.3 --output documents

    mm-milvus train ./photos --clip ./clip-vit-b32 --unfreeze --micro-batch 32 --output tuned
"""


def train(
    path: Annotated[str, typer.Argument(help="A folder, a table, tar shards, or a URI of those.")],
    output: Annotated[str, typer.Option(metavar="DIR", help="The folder of the model.")],
    validation: Annotated[
        str | None, typer.Option(help="A data set to judge by; default: a share of PATH's items.")
    ] = None,
    text_model: Annotated[
        str, typer.Option(help="A sentence model: a folder or hub id.", rich_help_panel=TOWERS)
    ] = "all-minilm-l6-v2",
    image_model: Annotated[
        str, typer.Option(help="An image classifier: a folder or hub id.", rich_help_panel=TOWERS)
    ] = "efficientnet-lite0",
    clip: Annotated[
        str | None,
        typer.Option(help="A CLIP-like model, for both towers.", rich_help_panel=TOWERS),
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(
            help="Of the text model: mean or cls; default: its own.", rich_help_panel=TOWERS
        ),
    ] = None,
    features: Annotated[
        str,
        typer.Option(help="Of the image model: pooled or logits.", rich_help_panel=TOWERS),
    ] = "pooled",
    unfreeze: Annotated[
        bool, typer.Option("--unfreeze", help="Train all of --clip.", rich_help_panel=TOWERS)
    ] = False,
    dim: Annotated[int, typer.Option(help="How long vectors are.", rich_help_panel=LEARNING)] = 256,
    hidden: Annotated[
        int,
        typer.Option(
            help="Units of a hidden layer; 0: linear projections.", rich_help_panel=LEARNING
        ),
    ] = 1024,
    dropout: Annotated[float, typer.Option(rich_help_panel=LEARNING)] = 0.5,
    views: Annotated[
        int, typer.Option(help="Pictures made of each image.", rich_help_panel=LEARNING)
    ] = 2,
    captions: Annotated[
        str,
        typer.Option(
            help="Of an item's captions, an epoch sees one or all.", rich_help_panel=LEARNING
        ),
    ] = "one",
    document: Annotated[
        str | None,
        typer.Option(
            help="Weights of the fields that make a document: image=0.7,title=0.3.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    relevance: Annotated[
        str | None,
        typer.Option(help="The metadata key that weighs a pair.", rich_help_panel=LEARNING),
    ] = None,
    epochs: Annotated[int, typer.Option(rich_help_panel=LEARNING)] = 30,
    batch_size: Annotated[int, typer.Option(help="Pairs a step.", rich_help_panel=LEARNING)] = 512,
    micro_batch: Annotated[
        int | None,
        typer.Option(
            help="Pairs in memory at once; the loss stays the batch's.", rich_help_panel=LEARNING
        ),
    ] = None,
    checkpointing: Annotated[
        bool,
        typer.Option(
            "--checkpointing", help="Less memory, a third slower.", rich_help_panel=LEARNING
        ),
    ] = False,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Default: 1e-3, with --unfreeze 5e-6.", rich_help_panel=LEARNING),
    ] = None,
    temperature: Annotated[float, typer.Option(rich_help_panel=LEARNING)] = 0.07,
    learn_temperature: Annotated[
        bool, typer.Option("--learn-temperature", rich_help_panel=LEARNING)
    ] = False,
    seed: Annotated[int, typer.Option(rich_help_panel=LEARNING)] = 0,
    image_column: ImageColumn = None,
    caption_column: CaptionColumn = None,
    id_column: IdColumn = None,
    delimiter: Delimiter = None,
    caption_from_folder: CaptionFromFolder = None,
    allow_outside: AllowOutside = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where it stopped.", rich_help_panel=RUN)
    ] = False,
    no_progress: NoProgress = False,
    as_json: Json = False,
) -> int:
    """Parse, train, print."""
    from mm_milvus.sources.open import as_source
    from mm_milvus.training.options import TrainOptions
    from mm_milvus.training.train import train as run

    how = source_options(
        image_column, caption_column, id_column, delimiter, caption_from_folder, allow_outside
    )
    source = as_source(path, how)
    report = run(
        source,
        output,
        validation=validation,
        source_options=how,
        options=TrainOptions(
            text_model=text_model,
            image_model=image_model,
            clip=clip,
            pooling=pooling,  # type: ignore[arg-type]
            features=features,  # type: ignore[arg-type]
            unfreeze=unfreeze,
            dim=dim,
            hidden=hidden,
            dropout=dropout,
            views=views,
            captions=captions,
            document=parse_document(document) if document else {"image": 1.0},
            relevance=relevance,
            epochs=epochs,
            batch_size=batch_size,
            micro_batch=micro_batch,
            checkpointing=checkpointing,
            learning_rate=learning_rate,
            temperature=temperature,
            learn_temperature=learn_temperature,
            seed=seed,
        ),
        resume=resume,
        progress=not no_progress,
        rejects=rejects_path(source.name),
    )
    if as_json:
        print(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        _print_report(report)
    return exit_code(report)


train.__doc__ = EXAMPLES


def _print_report(report: TrainReport) -> None:
    counts = ", ".join(f"{count:,} for {side}" for side, count in report.items.items())
    print(
        f"{report.dataset}: {counts}, {report.rejected:,} rejected; {report.epochs} epochs in "
        f"{report.seconds:.0f} s, the best is {report.best_epoch}"
    )
    for side, recalls in (("validation", report.validation), ("test", report.test)):
        if recalls:
            values = ", ".join(f"{name.replace('_', ' ')} {recalls[name]:.3f}" for name in SHOWN)
            print(f"{side}: {values}")
    if report.rejects_file:
        print(f"the rejects, with their reasons: {report.rejects_file}")
    if report.interrupted:
        print("interrupted: run the same command with --resume to go on")
    if report.best_epoch:
        print(f"to use it: mm-milvus ingest PATH --model {report.model}")
