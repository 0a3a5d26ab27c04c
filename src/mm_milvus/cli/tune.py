"""mm-milvus tune."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.options import DEFAULT_URI, DbName, Json, Token, Uri

if TYPE_CHECKING:
    from mm_milvus.store.tune import Recall, Tuning


def tune(
    dataset: Annotated[
        str | None, typer.Argument(help="Which data set; default: the only one there is.")
    ] = None,
    target_recall: Annotated[
        float, typer.Option(help="Of the exact ten nearest, the share that searches must find.")
    ] = 0.98,
    uri: Uri = DEFAULT_URI,
    token: Token = None,
    db_name: DbName = None,
    as_json: Json = False,
) -> None:
    """Measure recall and latency of a data set's index, and search with what suits.

    The end of an ingest does this already, for the target that was given last.

    **Examples**

        mm-milvus tune photos

        mm-milvus tune photos --target-recall 0.95 --uri http://localhost:19530
    """
    from mm_milvus.store.connection import Store, require_file
    from mm_milvus.store.dataset import open_dataset

    require_file(uri)
    with Store(uri, token=token, db_name=db_name) as connection:
        opened = open_dataset(connection, dataset).with_target(target_recall)
        tunings = {}
        for collection in opened.collections:
            print(f"measuring {collection.name}", file=sys.stderr)
            tunings[collection.modality.value] = opened.tuner(collection).tune()
        params = {name: tuning.params for name, tuning in tunings.items()}
        opened = opened.with_manifest(replace(opened.manifest, search_params=params))
    if as_json:
        collections = {name: asdict(tuning) for name, tuning in tunings.items()}
        facts = {"dataset": opened.name, "index": opened.manifest.index_type}
        print(json.dumps({**facts, "target_recall": target_recall, "collections": collections}))
        return
    for name, tuning in tunings.items():
        print_tuning(f"{opened.name}, {name}s", tuning, opened.manifest.index_type)


def print_tuning(title: str, tuning: Tuning, index_type: str) -> None:
    """The curve of one collection as a table, and what was chosen."""
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
        askers = list(tuning.curve[0].recall)
        for asker in askers:
            table.add_column(f"recall@10, {asker} queries", justify="right")
        table.add_column("ms", justify="right")
        for point in tuning.curve:
            recalls = [_recall(point.recall[asker]) for asker in askers]
            mark = "bold" if point.setting == chosen else ""
            table.add_row(str(point.setting), *recalls, f"{point.latency_ms:.1f}", style=mark)
        console.print(table)
        console.print("in brackets: what recall surely is, with 95 % confidence")
    why = ", an exact search: the collection is small" if tuning.exact else ""
    console.print(f"{tuning.knob} = {chosen}{why}\n")


def _recall(recall: Recall) -> str:
    return f"{recall.mean:.3f} (≥ {recall.surely:.3f})"
