"""The report of an evaluation: one HTML file without scripts or network access."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np

from mm_milvus.evaluation.metrics import MEDIAN_RANK, RANK
from mm_milvus.evaluation.results import EXACT, Evaluation, EvaluationRun, rounded
from mm_milvus.render.style import CSS

HARDEST = 15
"""Number of queries listed whose first right answer ranks lowest."""

ROW, LEFT, WIDTH, RIGHT = 30, 190, 800, 70
"""Height of a row, and widths of names, axis and figures, in units of the drawing."""

TICKS = 5
"""Approximate number of ticks on the axis."""

MIN_SPAN = 0.001
"""Minimum length of the axis, in units of the metric."""

MORE_CSS = """\
section { margin-top: 36px; }
h2 { font-size: 20px; font-weight: 650; letter-spacing: -.01em; }
section > p, .sheet + p { color: var(--faint); margin: 2px 0 12px; }
.sheet + p { margin-top: 8px; font-size: 13px; }
.sheet {
  background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  box-shadow: var(--shade); padding: 14px 18px; margin-top: 12px; overflow-x: auto;
}
svg { display: block; width: 100%; min-width: 640px; height: auto; }
svg text { fill: var(--ink); font-size: 13px; font-variant-numeric: tabular-nums; }
svg .tick { fill: var(--faint); font-size: 11.5px; }
svg line { stroke: var(--line); }
svg .span { stroke: var(--accent); stroke-width: 2.5; stroke-linecap: round; opacity: .45; }
svg circle { fill: var(--accent); stroke: var(--accent); stroke-width: 1.5; }
svg .exact circle { fill: var(--card); }
svg .exact .span { opacity: .2; }
.figures { margin: 0; font-size: 13px; font-variant-numeric: tabular-nums; }
.figures th, .figures td {
  width: auto; padding: 5px 10px; text-align: right; white-space: nowrap; overflow-wrap: normal;
}
.figures th:first-child, .figures td:first-child { text-align: left; padding-left: 0; }
.figures th:first-child, .figures td:first-child {
  position: sticky; left: -18px; background: var(--card);
}
.figures tbody tr { border-top: 1px solid var(--line); }
.figures small { display: block; color: var(--faint); font-size: 11px; }
.figures b { color: var(--accent); }
"""


def write_report(path: Path, evaluation: Evaluation) -> None:
    """Write a page with a drawing, and for each direction a table and its hardest queries.

    Args:
        path: The file, which is replaced if it exists.
        evaluation: The results of `evaluate`.

    Raises:
        OSError: When the file cannot be written.
    """
    path.write_text("".join(_page(evaluation)), encoding="utf-8", errors="replace")


def _page(evaluation: Evaluation) -> Iterator[str]:
    title = escape(evaluation.dataset)
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>\n{CSS}{MORE_CSS}</style>\n</head>\n<body>\n"
    )
    facts = [
        f"{evaluation.items:,} items",
        f"{evaluation.captions:,} captions",
        f"encoded by {', '.join(evaluation.encoders)}",
        f"the first {evaluation.depth} of each ranking",
    ]
    remarks = "".join(f'<p class="count">{escape(remark)}</p>' for remark in evaluation.remarks)
    yield (
        '<header><div><p class="kicker">Evaluation</p>'
        f'<h1 dir="auto">{title}</h1><p class="count">{escape(" · ".join(facts))}</p>{remarks}'
        "</div></header>\n<main>\n"
    )
    yield f'<div class="sheet">{_drawing(evaluation)}</div>\n'
    yield "<p>Means with their 95 % intervals; dots are through the index, rings exact.</p>\n"
    for direction in dict.fromkeys(run.direction for run in evaluation.runs):
        runs = [run for run in evaluation.runs if run.direction == direction]
        yield _section(direction, runs, evaluation)
    yield "</main>\n</body>\n</html>\n"


def _section(direction: str, runs: Sequence[EvaluationRun], evaluation: Evaluation) -> str:
    count = len(runs[0].query_ids)
    metric = f"ndcg@{max(evaluation.cuts)}"
    queries = "1 query" if count == 1 else f"{count:,} queries"
    return (
        f"<section><h2>{escape(_words(direction).capitalize())}</h2>"
        f"<p>{queries}</p>"
        f'<div class="sheet">{_table(runs, evaluation)}</div>'
        f"{_hardest(_best(runs, metric), evaluation)}</section>\n"
    )


def _drawing(evaluation: Evaluation) -> str:
    """Draw each run's nDCG with its interval: a dot through the index, a ring for exact search."""
    runs, metric = evaluation.runs, f"ndcg@{max(evaluation.cuts)}"
    has_directions = len({run.direction for run in runs}) > 1
    rows: dict[str, list[EvaluationRun]] = {}
    for run in runs:
        direction = _words(run.direction) if has_directions else ""
        name = " · ".join(filter(None, (direction, _method(run, evaluation))))
        rows.setdefault(name, []).append(run)
    ends = [float(end or 0) for run in runs for end in run.intervals[metric]]
    step = _step(max(ends) - min(ends))
    low = step * math.floor(min(ends) / step)
    high = max(step * math.ceil(max(ends) / step), low + step)
    height = ROW * (len(rows) + 1)

    def x(value: float | None) -> str:
        return f"{LEFT + WIDTH * (float(value or 0) - low) / (high - low):.1f}"

    parts = [
        f'<line x1="{x(tick)}" x2="{x(tick)}" y1="4" y2="{height - ROW + 4}"/>'
        f'<text class="tick" x="{x(tick)}" y="{height - 6}" text-anchor="middle">{tick:.3g}</text>'
        for tick in np.arange(low, high + step / 2, step).tolist()
    ]
    for number, (name, pair) in enumerate(rows.items()):
        y = ROW * number + ROW // 2
        parts.append(f'<text x="{LEFT - 14}" y="{y + 6}" text-anchor="end">{escape(name)}</text>')
        for run in pair:
            kind, at = ("exact", y + 6) if run.index == EXACT else ("index", y)
            start, end = run.intervals[metric]
            parts.append(
                f'<g class="{kind}"><line class="span" x1="{x(start)}" x2="{x(end)}" y1="{at}" '
                f'y2="{at}"/><circle cx="{x(run.metrics[metric])}" cy="{at}" r="4.5"/></g>'
            )
        value = evaluation.format_metric(pair[0], metric)
        parts.append(f'<text x="{LEFT + WIDTH + 14}" y="{y + 6}">{value}</text>')
    parts.append(
        f'<text class="tick" x="{LEFT - 28}" y="{height - 6}" text-anchor="end">'
        f"{escape(_heading(metric))}</text>"
    )
    label = escape(f"{_heading(metric)} of {len(runs)} runs")
    size, drawing = LEFT + WIDTH + RIGHT, "".join(parts)
    return f'<svg role="img" aria-label="{label}" viewBox="0 0 {size} {height}">{drawing}</svg>'


def _step(span: float) -> float:
    """Return a round distance between ticks, for about `TICKS` of them."""
    unit: float = 10.0 ** math.floor(math.log10(max(span, MIN_SPAN) / TICKS))
    return next(factor * unit for factor in (1, 2, 5, 10) if factor * unit * TICKS >= span)


def _table(runs: Sequence[EvaluationRun], evaluation: Evaluation) -> str:
    metrics = dict.fromkeys(evaluation.main_metrics())
    metrics |= dict.fromkeys(name for run in runs for name in run.metrics)
    head = "".join(f"<th>{escape(_heading(name))}</th>" for name in metrics)
    best = {name: _best_value(runs, name) for name in metrics}
    rows = []
    for run in runs:
        cells = "".join(_cell(run, name, best[name], evaluation) for name in metrics)
        rows.append(f"<tr><td>{escape(_name(run, evaluation))}</td>{cells}</tr>")
    return (
        f'<table class="figures"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _cell(run: EvaluationRun, metric: str, best: float | None, evaluation: Evaluation) -> str:
    value = escape(evaluation.format_metric(run, metric))
    if metric not in run.metrics:
        return f"<td>{value}</td>"
    if best is not None and run.metrics[metric] == best:
        value = f"<b>{value}</b>"
    ends = escape("–".join(evaluation.format_value(metric, end) for end in run.intervals[metric]))
    return f"<td>{value}<small>{ends}</small></td>"


def _best_value(runs: Sequence[EvaluationRun], metric: str) -> float | None:
    """Return the best value of a metric; None where the runs do not differ."""
    values = {value for run in runs if (value := run.metrics.get(metric)) is not None}
    if len(values) < 2:
        return None
    return min(values) if metric == MEDIAN_RANK else max(values)


def _best(runs: Sequence[EvaluationRun], metric: str) -> EvaluationRun:
    return max(runs, key=lambda run: run.metrics[metric] or 0)


def _hardest(run: EvaluationRun, evaluation: Evaluation) -> str:
    """List the queries whose first right answer ranks lowest."""
    ranks = run.values[RANK]
    order = np.lexsort((np.arange(len(ranks)), -ranks))[:HARDEST]
    rows = "".join(
        f'<tr><td dir="auto">{escape(evaluation.texts.get(run.query_ids[n], run.query_ids[n]))}'
        f"</td><td>{escape(evaluation.format_value(MEDIAN_RANK, rounded(ranks[n])))}</td></tr>"
        for n in order.tolist()
        if ranks[n] > 1
    )
    if not rows:
        return ""
    return (
        '<div class="sheet"><details style="margin:0;border:0;padding:0"><summary>'
        f"the hardest queries of {escape(_name(run, evaluation))}</summary>"
        '<table class="figures"><thead><tr><th>query</th><th>rank of the first right answer</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></details></div>"
    )


def _name(run: EvaluationRun, evaluation: Evaluation) -> str:
    """Return a name that is unique among the runs of a direction."""
    return " · ".join(filter(None, (_method(run, evaluation), run.index)))


def _method(run: EvaluationRun, evaluation: Evaluation) -> str:
    """Return a run's name without its index."""
    encoder = run.encoder if len(evaluation.encoders) > 1 else None
    return " · ".join(filter(None, (encoder, run.fusion)))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _heading(metric: str) -> str:
    name, at, cut = metric.partition("@")
    return {"ndcg": "nDCG", "mrr": "MRR", "map": "MAP"}.get(name, _words(name)) + at + cut
