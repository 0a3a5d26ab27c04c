"""mm-milvus tune."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.groups import OpenStore, json_option, store_options

if TYPE_CHECKING:
    from mm_milvus.store.tune import Recall, Tuning


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
    from mm_milvus.store.connection import opened
    from mm_milvus.store.dataset import open_dataset

    with opened(store(), must_exist=True) as connection:
        stored = open_dataset(connection, dataset).with_target(target_recall)
        tunings = {}
        for collection in stored.collections:
            print(f"measuring {collection.name}", file=sys.stderr)
            tunings[collection.modality.value] = stored.tuner(collection).tune()
        params = {name: tuning.params for name, tuning in tunings.items()}
        stored = stored.with_manifest(replace(stored.manifest, search_params=params))
    if as_json:
        collections = {name: asdict(tuning) for name, tuning in tunings.items()}
        facts = {"dataset": stored.name, "index": stored.manifest.index_type}
        print(json.dumps({**facts, "target_recall": target_recall, "collections": collections}))
        return
    for name, tuning in tunings.items():
        print_tuning(f"{stored.name}, {name}s", tuning, stored.manifest.index_type)


def print_tuning(title: str, tuning: Tuning, index_type: str) -> None:
    """Print the measured settings of one collection as a table, and the chosen one."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"{title}: {tuning.rows:,} rows, {index_type}", markup=False)
    if tuning.knob is None:
        console.print("nothing to tune: this index has no setting that trades recall for time\n")
        return
    chosen = tuning.params[tuning.knob]
    if tuning.curve:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(tuning.knob, justify="right")
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
    console.print(f"{tuning.knob} = {chosen}{why}\n")


def _recall(recall: Recall) -> str:
    return f"{recall.mean:.3f} (≥ {recall.surely:.3f})"
