"""mm-milvus evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_milvus.cli.options import DEFAULT_URI, DbName, Json, NoProgress, Token, Uri, store_of

if TYPE_CHECKING:
    from mm_milvus.evaluation.results import Evaluation

JUDGED, MEASURED, OUTPUT = "Judgements", "Measure", "Output"

EXAMPLES = """
How well a data set is searched: recall, precision, nDCG, MRR, MAP and the median rank.

Its captions are the known answers, unless judgements are given. Each figure comes through the
index and exact, with its 95 % interval.

**Examples**

    mm-milvus evaluate photos

    mm-milvus evaluate photos --by class --json

    mm-milvus evaluate photos --queries queries.jsonl --qrels qrels.txt --output judged

    mm-milvus evaluate --compare judged/runs/text_to_item-max-index.jsonl \\
        judged/runs/text_to_item-rrf-index.jsonl
"""


def evaluate(
    dataset: Annotated[
        str | None, typer.Argument(help="The data set; default: the only one there is.")
    ] = None,
    uri: Uri = DEFAULT_URI,
    token: Token = None,
    db_name: DbName = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            help='JSON lines: {"query_id", "text"} or {"query_id", "image"}.',
            rich_help_panel=JUDGED,
        ),
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(
            help="Judgements, a line each: query_id 0 item_id grade.", rich_help_panel=JUDGED
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="A metadata key: images of one value are relevant to each other.",
            rich_help_panel=JUDGED,
        ),
    ] = None,
    fusion: Annotated[
        list[str] | None,
        typer.Option(
            help="With queries: a way to make one list of two; repeatable; default: all.",
            rich_help_panel=MEASURED,
        ),
    ] = None,
    encoders: Annotated[
        str | None,
        typer.Option(
            help="Of a data set indexed with several: A,B; default: all.",
            rich_help_panel=MEASURED,
        ),
    ] = None,
    k: Annotated[
        list[int] | None,
        typer.Option(
            "-k",
            "--k",
            help="Of recall@k; repeatable; default: 1, 5, 10.",
            rich_help_panel=MEASURED,
        ),
    ] = None,
    depth: Annotated[
        int, typer.Option(help="How far down a ranking is read.", rich_help_panel=MEASURED)
    ] = 100,
    sample: Annotated[
        int, typer.Option(help="At most so many queries a direction.", rich_help_panel=MEASURED)
    ] = 10_000,
    seed: Annotated[
        int, typer.Option(help="Of the sample and the intervals.", rich_help_panel=MEASURED)
    ] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            help="A folder for the values of every query and an HTML report.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            help="Evaluate nothing: say whether A differs from B; folders that --output wrote, "
            "or files of their runs.",
            metavar="A B",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    as_json: Json = False,
    no_progress: NoProgress = False,
) -> None:
    """Parse, evaluate, print."""
    from mm_milvus.evaluation.evaluate import evaluate as run
    from mm_milvus.evaluation.files import make_folder, write_evaluation
    from mm_milvus.evaluation.options import EvaluateOptions

    if compare is not None:
        print_comparison(*compare, seed=seed, as_json=as_json)
        return
    given: dict[str, Any] = {"fusions": tuple(fusion or ()), "cuts": tuple(sorted(set(k or ())))}
    options = EvaluateOptions(
        encoders=tuple(name.strip() for name in encoders.split(",")) if encoders else (),
        queries=queries,
        qrels=qrels,
        by=by,
        depth=depth,
        sample=sample,
        seed=seed,
        progress=not (no_progress or as_json),
        **{name: value for name, value in given.items() if value},
    )
    if output is not None:
        make_folder(output)
    evaluation = run(dataset, store=store_of(uri, token, db_name), options=options)
    if output is not None:
        from mm_milvus.render.evaluation import write_report

        write_evaluation(output, evaluation)
        write_report(output / "report.html", evaluation)
    if as_json:
        print(json.dumps(evaluation.to_dict(), ensure_ascii=False))
        return
    print_table(evaluation)
    if output is not None:
        print(f"report: {output / 'report.html'}")


evaluate.__doc__ = EXAMPLES


HEADINGS = {
    "recall": "R",
    "ndcg": "nDCG",
    "mrr": "MRR",
    "map": "MAP",
    "median_rank": "med.\nrank",
    "index_recall": "index\nR",
}
"""What metrics are called where there is little room."""


def heading(metric: str) -> str:
    """A metric's name as narrow as its figures."""
    name, at, cut = metric.partition("@")
    return HEADINGS.get(name, name) + at + cut


def print_table(evaluation: Evaluation) -> None:
    """The chief metrics of every run."""
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
        console.print(remark, highlight=False, soft_wrap=True)
    fused = any(run.fusion for run in evaluation.runs)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=0)
    for name in ("direction", "fusion", "index") if fused else ("direction", "index"):
        table.add_column(name, no_wrap=True)
    metrics = evaluation.chief_metrics()
    for name in ("n", *metrics):
        table.add_column(heading(name), justify="right", no_wrap=True)
    for run in evaluation.runs:
        table.add_row(
            run.direction.replace("_", " "),
            *([run.fusion or "—"] if fused else []),
            run.index,
            f"{len(run.query_ids):,}",
            *(evaluation.shown(run, name) for name in metrics),
        )
    console.print(table)


def print_comparison(a: Path, b: Path, *, seed: int, as_json: bool) -> None:
    """For each pair of runs a verdict a metric."""
    from mm_milvus.evaluation.compare import compare

    comparisons = compare(a, b, seed)
    if as_json:
        answer = {"a": str(a), "b": str(b), "comparisons": [each.to_dict() for each in comparisons]}
        print(json.dumps(answer, ensure_ascii=False))
        return
    print(f"A is {a}, B is {b}")
    for each in comparisons:
        names = each.a if each.a == each.b else f"{each.a} and {each.b}"
        alone = f" ({each.unmatched:,} that only one has)" if each.unmatched else ""
        print(f"\n{names}: {each.queries:,} queries{alone}")
        for difference in each.differences:
            print(f"  {difference.sentence()}")
