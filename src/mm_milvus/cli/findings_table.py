"""The findings that are shown at once, where no file takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_ROWS = 20
"""A table for people has so many rows; a file has all."""


class FindingsTable:
    """Keeps the first findings, or all of them, as they come.

    rows  as JSON has them
    more  how many there are besides
    """

    def __init__(self, *, whole: bool, only: str | None = None) -> None:
        """Keep all where it is to be whole; `only` those whose column of that name is true."""
        self.rows: list[dict[str, Any]] = []
        self.more = 0
        self._whole = whole
        self._only = only

    def receive(self, findings: pa.RecordBatch) -> None:
        """Keep of a batch what there is room for."""
        from mm_milvus.zeroshot.findings import rows_of

        if self._only is not None:
            findings = findings.filter(findings.column(self._only))
        room = findings.num_rows if self._whole else max(0, SHOWN_ROWS - len(self.rows))
        self.rows += rows_of(findings.slice(0, room))
        self.more += max(0, findings.num_rows - room)

    def print(self, columns: list[str], cells: Callable[[dict[str, Any]], list[str]]) -> None:
        """A table of the rows, the last column to the right; an item is named once."""
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
        former = None
        for row in self.rows:
            item, *rest = cells(row)
            table.add_row(Text("" if item == former else item), *map(Text, rest))
            former = item
        console.print(table)
        if self.more:
            print(f"and {self.more:,} rows more: --output FILE writes all")
