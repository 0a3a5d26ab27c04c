"""mm-milvus evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.groups import OUTPUT, RUN, OpenStore, json_option, store_options
from mm_milvus.cli.messages import name_options, option_names
from mm_milvus.cli.options import PROGRESS, Flag, comma_list, options_of
from mm_milvus.cli.output import print_json
from mm_milvus.evaluation.options import EvaluateOptions

if TYPE_CHECKING:
    from mm_milvus.evaluation.results import Evaluation

JUDGED, MEASURED = "Judgements", "Measure"


@store_options
@options_of(
    EvaluateOptions,
    panel=MEASURED,
    encoders=Flag(type=str, parse=comma_list, metavar="A,B"),
    queries=Flag(metavar="FILE", panel=JUDGED),
    qrels=Flag(metavar="FILE", panel=JUDGED),
    by=Flag(metavar="KEY", panel=JUDGED),
    fusions=Flag(names=("--fusion",)),
    cuts=Flag(names=("--k",), shown_default="1,5,10"),
    progress=replace(PROGRESS, panel=RUN),
)
@json_option
def evaluate(
    *,
    context: typer.Context,
    dataset: Annotated[
        str | None, typer.Argument(help="The dataset (default: the only one).")
    ] = None,
    as_json: bool,
    store: OpenStore,
    options: EvaluateOptions,
    deprecated_k: Annotated[list[int] | None, typer.Option("-k", hidden=True)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder for the values of every query and an HTML report.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            help="Evaluate nothing: report whether A differs from B, two folders that `--output` "
            "wrote, or files of their runs.",
            metavar="A B",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Measure how well a dataset is searched: recall, precision, nDCG, MRR, MAP, median rank.

    Without judgements, the captions of each image are the known answers. Each metric is
    measured through the index and by exact search, with its 95 % confidence interval.

    Examples:

        mm-milvus evaluate photos
        mm-milvus evaluate photos --by class --json
        mm-milvus evaluate photos --queries q.jsonl --qrels qrels.txt --output first
        mm-milvus evaluate --compare first second
    """
    from mm_milvus.evaluation.evaluate import evaluate
    from mm_milvus.evaluation.files import make_folder, write_evaluation

    if compare is not None:
        print_comparison(*compare, seed=options.seed, as_json=as_json)
        return
    if deprecated_k:
        options = replace(options, cuts=tuple(deprecated_k))
    options = replace(
        options,
        cuts=tuple(sorted(set(options.cuts))),
        progress="none" if as_json else options.progress,
    )
    if output is not None:
        make_folder(output)
    evaluation = evaluate(dataset, store=store(), options=options)
    if output is not None:
        from mm_milvus.render.evaluation import write_report

        write_evaluation(output, evaluation)
        write_report(output / "report.html", evaluation)
    if as_json:
        print_json(evaluation.to_dict())
        return
    print_table(evaluation, names=option_names(context.command.params))
    if output is not None:
        print(f"report: {output / 'report.html'}")


HEADINGS = {
    "recall": "R",
    "ndcg": "nDCG",
    "mrr": "MRR",
    "map": "MAP",
    "median_rank": "med.\nrank",
    "index_recall": "index\nR",
}
"""Short names of metrics for the columns of a table."""


def heading(metric: str) -> str:
    """Return the short name of a metric, such as `R@10`."""
    name, at, cut = metric.partition("@")
    return HEADINGS.get(name, name) + at + cut


def print_table(evaluation: Evaluation, *, names: Mapping[str, str]) -> None:
    """Print the chief metrics of every run; remarks name options, not parameters."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    encoders = ", ".join(evaluation.encoders)
    console.print(
        f"{evaluation.dataset}: {evaluation.items:,} items, {evaluation.captions:,} captions, "
        f"encoder {encoders}, depth {evaluation.depth}, {evaluation.seconds:.1f} s",
        highlight=False,
        soft_wrap=True,
    )
    for remark in evaluation.remarks:
        console.print(name_options(remark, names), highlight=False, soft_wrap=True, markup=False)
    fused = any(run.fusion for run in evaluation.runs)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=0)
    for name in ("direction", "fusion", "index") if fused else ("direction", "index"):
        table.add_column(name, no_wrap=True)
    metrics = evaluation.main_metrics()
    for name in ("n", *metrics):
        table.add_column(heading(name), justify="right", no_wrap=True)
    for run in evaluation.runs:
        table.add_row(
            run.direction.replace("_", " "),
            *([run.fusion or "—"] if fused else []),
            run.index,
            f"{len(run.query_ids):,}",
            *(evaluation.format_metric(run, name) for name in metrics),
        )
    console.print(table)


def print_comparison(a: Path, b: Path, *, seed: int, as_json: bool) -> None:
    """Print, for each pair of runs, whether each metric differs."""
    from mm_milvus.evaluation.compare import compare

    comparisons = compare(a, b, seed)
    if as_json:
        answer = {"a": str(a), "b": str(b), "comparisons": [pair.to_dict() for pair in comparisons]}
        print_json(answer)
        return
    print(f"A is {a}, B is {b}")
    for pair in comparisons:
        names = pair.a if pair.a == pair.b else f"{pair.a} and {pair.b}"
        unmatched = f" ({pair.unmatched:,} that only one has)" if pair.unmatched else ""
        print(f"\n{names}: {pair.queries:,} queries{unmatched}")
        for difference in pair.differences:
            print(f"  {difference.sentence()}")
