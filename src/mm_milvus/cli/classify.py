"""mm-milvus classify."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_milvus.cli.findings_table import FindingsTable
from mm_milvus.cli.interrupt import interrupted_by_signals
from mm_milvus.cli.options import (
    DEFAULT_MODEL,
    DEFAULT_URI,
    STORE,
    AllowOutside,
    BatchSize,
    DbName,
    Delimiter,
    IdColumn,
    ImageColumn,
    Json,
    Limit,
    Model,
    NoProgress,
    Output,
    Token,
    Uri,
    rejects_path,
    source_options,
    store_of,
)
from mm_milvus.cli.report import encoder_hint, exit_code, judged

if TYPE_CHECKING:
    from mm_milvus.zeroshot.classify import ClassifyReport

LABELS = "Labels"

EXAMPLES = """
Say which of your labels each image has, and how probable that is; without training.

PATH is whatever `mm-milvus ingest` takes, or one image.

**Examples**

    mm-milvus classify look.jpg --labels dress,shirt,shoes --top-k 3

    mm-milvus classify ./photos --labels @labels.txt --output labels.parquet

    mm-milvus classify ./photos --labels dress,shoes --dataset photos

    mm-milvus query "something red" --where label=shoes
"""


def classify(
    path: Annotated[str, typer.Argument(help="Images: one, a folder, a table, tar shards.")],
    labels: Annotated[
        list[str],
        typer.Option(
            help="Labels between commas, or @FILE with one a line; repeatable.",
            rich_help_panel=LABELS,
        ),
    ],
    template: Annotated[
        list[str] | None,
        typer.Option(
            help='What a label stands in, "a photo of a {}"; repeatable; default: a set of 16.',
            rich_help_panel=LABELS,
        ),
    ] = None,
    top_k: Annotated[
        int, typer.Option("--top-k", "-k", help="How many labels an image.", rich_help_panel=LABELS)
    ] = 1,
    model: Model = DEFAULT_MODEL,
    output: Output = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Write label and label_probability into the metadata of this data set.",
            rich_help_panel=STORE,
        ),
    ] = None,
    uri: Uri = DEFAULT_URI,
    token: Token = None,
    db_name: DbName = None,
    image_column: ImageColumn = None,
    id_column: IdColumn = None,
    delimiter: Delimiter = None,
    allow_outside: AllowOutside = False,
    batch_size: BatchSize = None,
    limit: Limit = None,
    no_progress: NoProgress = False,
    as_json: Json = False,
) -> int:
    """Parse, classify, print."""
    from mm_milvus.pipeline.options import RunOptions
    from mm_milvus.sources.open import as_source
    from mm_milvus.zeroshot.classify import classify as run
    from mm_milvus.zeroshot.prompts import TEMPLATES

    shown = FindingsTable(whole=as_json)
    source = as_source(
        path, source_options(image_column, None, id_column, delimiter, None, allow_outside)
    )
    with interrupted_by_signals() as interrupt:
        report = run(
            source,
            _read_labels(labels),
            output=output or shown.receive,
            templates=tuple(template or TEMPLATES),
            top_k=top_k,
            model=model,
            dataset=dataset,
            store=store_of(uri, token, db_name),
            options=RunOptions(limit=limit, batch_size=batch_size, progress=not no_progress),
            rejects=rejects_path(f"{source.name}.classify"),
            interrupt=interrupt,
        )
    if as_json:
        found: dict[str, Any] = {} if output else {"predictions": shown.rows}
        print(json.dumps({**report.to_dict(), **found}, ensure_ascii=False))
    else:
        _print_report(report, shown)
    return exit_code(report)


classify.__doc__ = EXAMPLES


def _read_labels(options: list[str]) -> list[str]:
    """The labels of all options, in their order."""
    labels: list[str] = []
    for option in options:
        if not option.startswith("@"):
            labels += option.split(",")
            continue
        try:
            labels += Path(option[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise typer.BadParameter(f"the labels {option[1:]} cannot be read: {reason}") from error
    return labels


def _print_report(report: ClassifyReport, shown: FindingsTable) -> None:
    shown.print(
        ["item", "label", "probability"],
        lambda row: [row["item_id"], row["label"], f"{row['probability']:.3f}"],
    )
    if report.images > 1:
        ranked = sorted(report.labels.items(), key=lambda pair: -pair[1])
        most = [f"{label} {count:,}" for label, count in islice(ranked, 10) if count]
        more = sum(count > 0 for _, count in ranked[10:])
        print("most probable: " + ", ".join(most) + (f" and {more} more labels" if more else ""))
    judged(report)
    if report.labelled:
        print(f"{report.labelled} has the labels: mm-milvus query ... --where label=LABEL")
    encoder_hint(report)
