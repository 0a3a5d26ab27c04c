"""What `classify` and `moderate` print: the first findings as a table, and a summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mm_milvus.cli.runs import print_rejects
from mm_milvus.text import visible

if TYPE_CHECKING:
    import pyarrow as pa

    from mm_milvus.zeroshot.run import JudgeReport

TABLE_ROWS = 20
"""Rows of the table; a file has all of them."""


class FindingsTable:
    """Keeps the first findings, or all of them.

    Attributes:
        rows: Findings, as JSON has them.
        more: Number of findings that were not kept.
    """

    def __init__(self, *, keep_all: bool, only: str | None = None) -> None:
        """Start without findings.

        Args:
            keep_all: Keep every finding instead of the first `TABLE_ROWS`.
            only: Keep the findings whose boolean column of this name is true.
        """
        self.rows: list[dict[str, Any]] = []
        self.more = 0
        self._keep_all = keep_all
        self._only = only

    def receive(self, findings: pa.RecordBatch) -> None:
        """Keep the findings of a batch, as far as there is room."""
        from mm_milvus.zeroshot.findings import rows_of

        if self._only is not None:
            findings = findings.filter(findings.column(self._only))
        room = findings.num_rows if self._keep_all else max(0, TABLE_ROWS - len(self.rows))
        self.rows += rows_of(findings.slice(0, room))
        self.more += max(0, findings.num_rows - room)

    def print(self, columns: list[str], cells: Callable[[dict[str, Any]], list[str]]) -> None:
        """Print a table; the first cell of a row is left empty where it repeats.

        Args:
            columns: The headings; the last column is aligned to the right.
            cells: Turns a finding into the cells of a row.
        """
        if not self.rows:
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console()
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in columns:
            last = name == columns[-1]
            table.add_column(name, justify="right" if last else "left", overflow="fold")
        previous = None
        for row in self.rows:
            item, *rest = cells(row)
            cells_shown = map(visible, ("" if item == previous else item, *rest))
            table.add_row(*map(Text, cells_shown))
            previous = item
        console.print(table)
        if self.more:
            print(f"and {self.more:,} more rows: --output FILE writes all of them")


def print_judged(report: JudgeReport) -> None:
    """Print the counts of a run, and where its files are."""
    noun = "image" if report.images == 1 else "images"
    print(
        f"{report.dataset}: {report.images:,} {noun} judged in {report.seconds:.1f} s "
        f"({report.images_per_second:,.1f}/s), {report.rejected:,} rejected; model {report.model}"
    )
    if report.output:
        print(f"findings: {report.output}")
    print_rejects(report)
    if report.interrupted:
        print("interrupted: the counts are those of the images judged until then")
