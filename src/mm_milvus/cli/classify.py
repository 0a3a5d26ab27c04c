"""mm-milvus classify."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_milvus.cli.findings import FindingsTable, print_judged
from mm_milvus.cli.groups import (
    BATCH_SIZE,
    RUN,
    STORE,
    ChooseRejects,
    Findings,
    OpenStore,
    json_option,
    model_option,
    rejects_options,
    source_options,
    store_options,
)
from mm_milvus.cli.options import options_of
from mm_milvus.cli.output import print_json
from mm_milvus.cli.runs import (
    exit_code,
    interrupted_by_signals,
    print_encoder_hint,
    print_rejects_failure,
    rejects_path,
)
from mm_milvus.pipeline.options import RunOptions
from mm_milvus.sources.options import SourceOptions
from mm_milvus.text import visible

if TYPE_CHECKING:
    from mm_milvus.zeroshot.classify import ClassifyReport

LABELS = "Labels"
SHOWN_LABELS = 10


@store_options
@model_option
@options_of(RunOptions, panel=RUN, batch_size=BATCH_SIZE)
@source_options(captions=False)
@rejects_options
@json_option
def classify(
    *,
    source: Annotated[
        str, typer.Argument(metavar="PATH", help="An image, a folder, a table, or tar shards.")
    ],
    labels: Annotated[
        list[str],
        typer.Option(
            help="Labels separated by commas, or @FILE with one per line.",
            rich_help_panel=LABELS,
        ),
    ],
    templates: Annotated[
        list[str] | None,
        typer.Option(
            "--template",
            help='A text around each label, such as "a photo of a {}" (default: a set of 16).',
            rich_help_panel=LABELS,
        ),
    ] = None,
    top_k: Annotated[
        int,
        typer.Option("--top-k", "-k", help="Number of labels per image.", rich_help_panel=LABELS),
    ] = 1,
    as_json: bool,
    rejects: ChooseRejects,
    model: str,
    output: Findings = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Write label and label_probability into the metadata of this dataset.",
            rich_help_panel=STORE,
        ),
    ] = None,
    store: OpenStore,
    source_options: SourceOptions,
    options: RunOptions,
) -> int:
    """Find which of your labels each image has, and how probable it is, without training.

    PATH is whatever `mm-milvus ingest` takes, or one image.

    Examples:

        mm-milvus classify look.jpg --labels dress,shirt,shoes --top-k 3
        mm-milvus classify ./photos --labels @labels.txt --output labels.parquet
        mm-milvus classify ./photos --labels dress,shoes --dataset photos
        mm-milvus query "something red" --where label=shoes
    """
    from mm_milvus.sources.open import as_source
    from mm_milvus.zeroshot.classify import classify
    from mm_milvus.zeroshot.labels import TEMPLATES

    table = FindingsTable(keep_all=as_json)
    images = as_source(source, source_options)
    with interrupted_by_signals() as interrupt:
        report = classify(
            images,
            _read_labels(labels),
            output=output or table.receive,
            templates=tuple(templates or TEMPLATES),
            top_k=top_k,
            model=model,
            dataset=dataset,
            store=store(),
            options=options,
            rejects=rejects(rejects_path(f"{images.name}.classify")),
            interrupt=interrupt,
        )
    print_rejects_failure(report)
    if as_json:
        predictions: dict[str, Any] = {} if output else {"predictions": table.rows}
        print_json({**report.to_dict(), **predictions})
    else:
        _print_report(report, table)
    return exit_code(report)


def _read_labels(values: list[str]) -> list[str]:
    """Return the labels of all `--labels`, in their order."""
    labels: list[str] = []
    for value in values:
        if not value.startswith("@"):
            labels += value.split(",")
            continue
        try:
            labels += Path(value[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise typer.BadParameter(f"the labels {value[1:]} cannot be read: {reason}") from error
    return labels


def _print_report(report: ClassifyReport, table: FindingsTable) -> None:
    table.print(
        ["item", "label", "probability"],
        lambda row: [row["item_id"], row["label"], f"{row['probability']:.3f}"],
    )
    if report.images > 1:
        ranked = sorted(report.labels.items(), key=lambda pair: -pair[1])
        most = [f"{label} {count:,}" for label, count in islice(ranked, SHOWN_LABELS) if count]
        more = sum(count > 0 for _, count in ranked[SHOWN_LABELS:])
        rest = f" and {more} more labels" if more else ""
        print(visible(f"most probable: {', '.join(most)}{rest}"))
    print_judged(report)
    if report.labelled:
        print(f"{report.labelled} has the labels: mm-milvus query ... --where label=LABEL")
    print_encoder_hint(report)
