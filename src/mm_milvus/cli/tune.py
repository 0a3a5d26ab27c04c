"""mm-milvus tune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.groups import OpenStore, json_option, store_options
from mm_milvus.cli.output import print_json
from mm_milvus.progress import write_stderr

if TYPE_CHECKING:
    from mm_milvus.store.tuner import Recall, Tuning


@store_options
@json_option
def tune(
    *,
    dataset: Annotated[
        str | None, typer.Argument(help="The dataset (default: the only one).")
    ] = None,
    target_recall: Annotated[
        float, typer.Option(help="Share of the ten exact nearest that searches must find.")
    ] = 0.98,
    as_json: bool,
    store: OpenStore,
) -> None:
    """Measure recall and latency of a dataset's index, and set its search parameters.

    The end of an ingest does this already, for the target that was set last.

    Examples:

        mm-milvus tune photos
        mm-milvus tune photos --target-recall 0.95 --uri http://localhost:19530
    """
    from mm_milvus.store.tune import tune

    report = tune(
        dataset,
        store(),
        target_recall=target_recall,
        on_start=lambda collection: write_stderr(f"measuring {collection}"),
    )
    if as_json:
        print_json(report.to_dict())
        return
    for modality, tuning in report.tunings.items():
        print_tuning(f"{report.dataset}, {modality}s", tuning, report.index_type)


def print_tuning(title: str, tuning: Tuning, index_type: str) -> None:
    """Print the measured settings of one collection as a table, and the chosen one."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"{title}: {tuning.rows:,} rows, {index_type}", markup=False)
    if tuning.parameter is None:
        console.print("nothing to tune: this index has no setting that trades recall for time\n")
        return
    chosen = tuning.params[tuning.parameter]
    if tuning.curve:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(tuning.parameter, justify="right")
        kinds = list(tuning.curve[0].recall)
        for kind in kinds:
            table.add_column(f"recall@10, {kind} queries", justify="right")
        table.add_column("ms", justify="right")
        for point in tuning.curve:
            recalls = [_recall(point.recall[kind]) for kind in kinds]
            style = "bold" if point.setting == chosen else ""
            table.add_row(str(point.setting), *recalls, f"{point.latency_ms:.1f}", style=style)
        console.print(table)
        console.print("in brackets: the lower bound of recall, with 95 % confidence")
    why = ", an exact search: the collection is small" if tuning.exact else ""
    console.print(f"{tuning.parameter} = {chosen}{why}\n")


def _recall(recall: Recall) -> str:
    return f"{recall.mean:.3f} (≥ {recall.lower_bound:.3f})"
