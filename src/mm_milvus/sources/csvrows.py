"""Rows of a CSV file: quoted newlines, any delimiter, types told from the head of each column.

Python's reader is used, and not Arrow's: Arrow stops at the first row that is malformed, not
UTF-8, or not of the type that the first block suggested, and one bad row may not stop an ingest.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mm_milvus.errors import SourceError
from mm_milvus.files import MAX_FILE_BYTES, Place
from mm_milvus.sources.rows import SAMPLE, Row
from mm_milvus.text import is_utf8, one_line

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False}
_MISSING = frozenset({"", "nan", "null", "none", "n/a", "na"})

Convert = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A CSV file: the names of its columns, and what their values are converted with."""

    place: Place
    delimiter: str
    columns: tuple[str, ...]
    converts: dict[str, Convert]

    def rows(self, keep: frozenset[str]) -> Iterator[Row]:
        """All rows; a value of the columns `keep` stays as it is written."""
        converts = {name: convert for name, convert in self.converts.items() if name not in keep}
        with _reader(self.place, self.delimiter) as reader:
            next(reader)
            for row in _rows(reader, self.columns, self.place.name):
                if row.values is not None:
                    for name, convert in converts.items():
                        row.values[name] = convert(row.values[name])
                yield row


def open_csv(place: Place, delimiter: str) -> CsvTable:
    """Read the header and the first rows.

    Numbers and booleans are told from the first `SAMPLE` rows of a column; a later value that is
    none stays text. Digits after a leading zero are text, and so keep it: `00123`.

    Raises `SourceError` for a delimiter that is not one character.
    """
    delimiter = "\t" if delimiter == "\\t" else delimiter
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise SourceError(
            f"the delimiter {delimiter!r} cannot be used: give one character, such as , # or \\t"
        )
    with _reader(place, delimiter) as reader:
        names = [name.strip() for name in next(reader, [])]
        if not all(map(is_utf8, names)):
            raise SourceError(f"{place.uri} is not UTF-8: save it as UTF-8")
        # The index that pandas writes has no name.
        header = tuple(name or f"column_{number}" for number, name in enumerate(names, 1))
        head = [row.values for row in islice(_rows(reader, header, place.name), SAMPLE)]
    sample = [values for values in head if values is not None]
    converts = {name: _conversion([values[name] for values in sample]) for name in header}
    return CsvTable(place, delimiter, header, converts)


@contextmanager
def _reader(place: Place, delimiter: str) -> Iterator[Any]:
    # The bound on a field is the module's; the default of 128 KiB would refuse a long text.
    csv.field_size_limit(MAX_FILE_BYTES)
    with (
        place.open() as stream,
        io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        # Strict: a quote that is never closed would otherwise swallow the rows after it unseen.
        yield csv.reader(text, delimiter=delimiter, strict=True)


def _rows(reader: Any, header: tuple[str, ...], name: str) -> Iterator[Row]:
    number = 0
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            lines = f"{name}:{start}" + (f"-{reader.line_num}" if reader.line_num > start else "")
            yield Row(number, fault=f"{lines} is not CSV: {one_line(error)}")
            continue
        if not cells:
            continue
        number += 1
        where = f"{name}:{start}"
        if len(cells) != len(header):
            fault = f"{where} has {len(cells)} columns, and the header has {len(header)}"
            yield Row(number, fault=fault)
        elif not all(map(is_utf8, cells)):
            yield Row(number, fault=f"{where} is not valid UTF-8")
        else:
            yield Row(number, dict(zip(header, cells, strict=True)))


def _conversion(cells: list[str]) -> Convert:
    present = [cell for cell in cells if cell.strip().lower() not in _MISSING]
    for convert in (_integer, _number, _boolean):
        if present and not any(isinstance(convert(cell), str) for cell in present):
            return convert
    return _text


def _integer(cell: str) -> Any:
    return int(cell) if _INTEGER.fullmatch(cell) else _other(cell)


def _number(cell: str) -> Any:
    return float(cell) if _NUMBER.fullmatch(cell) else _other(cell)


def _boolean(cell: str) -> Any:
    return _BOOLEANS.get(cell.lower(), _other(cell))


def _other(cell: str) -> Any:
    """What stands in a typed column without being of the type: nothing, or a text."""
    return None if cell.strip().lower() in _MISSING else cell


def _text(cell: str) -> Any:
    return cell or None
