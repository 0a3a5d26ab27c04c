"""Rows of a CSV file: quoted newlines, any delimiter, types inferred from the head of a column.

Python's reader is used, not Arrow's: Arrow stops at the first row that is malformed, not UTF-8, or
not of the type that the first block suggested, and one bad row must not stop an ingest.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, Literal

from mm_milvus.errors import SourceError
from mm_milvus.files import MAX_FILE_BYTES, Place
from mm_milvus.sources.encodings import REMEDY
from mm_milvus.sources.records import HEAD_ROWS, Row, Table, open_text, without_compression
from mm_milvus.text import is_utf8, one_line

_PLAIN = re.compile(r"-?[0-9]+\.([0-9]+)")
_SCIENTIFIC = re.compile(r"-?[0-9]\.([0-9]+)[eE][+-][0-9]{2,3}")
_LONGEST_NUMBER = 40
"""Characters; more are text: no program writes a 64-bit number with as many."""

_DELIMITERS = ("\t", ";", "|", ",")
"""Between the columns of many files."""

_QUOTING_HINT = "if quotes are part of the texts, read it with `no_quoting`"

_BOOLEANS = {"true": True, "false": False}
_MISSING = frozenset({"", "nan", "null", "none", "n/a", "na"})

Conversion = Callable[[str], Any]


def open_csv(
    place: Place,
    delimiter: str | None = None,
    *,
    no_quoting: bool = False,
    encoding: str | None = None,
) -> Table:
    """Read the header and the first rows of a CSV file.

    A column is of integers, numbers or booleans when all values in its first `HEAD_ROWS` rows are,
    or all that have a digit, if these are more than half: a value that is not stays text. Only what
    gives the cell again is a number: codes such as `00123`, `+1`, `7E5` and `12E345` are text, and
    so are integers beyond 64 bits. Zeros after a decimal point are not kept: `1.50` is 1.5. An
    empty cell, `nan`, `null`, `none`, `na` and `n/a` in any case are missing values; in a column of
    text only the empty cell is.

    Args:
        place: The file, as `open_text` reads it.
        delimiter: One character, or the two characters backslash and t for a tab (default: a
            comma, a tab for `.tsv`, and for `.txt` the most frequent one of the header).
        no_quoting: Whether quotes are part of the texts.
        encoding: Of the text, where it is neither UTF-8 nor UTF-16.

    Raises:
        SourceError: For a delimiter that is not one character, or a header that is not UTF-8 or
            has another delimiter.
    """
    is_default = delimiter is None
    with open_text(place, "\n", encoding) as text:
        header_line = text.readline(MAX_FILE_BYTES)
    if delimiter is None:
        delimiter = _default_delimiter(place, header_line)
    delimiter = "\t" if delimiter == "\\t" else delimiter
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise SourceError(
            f"the delimiter {delimiter!r} cannot be used: give one character, such as , # or \\t"
        )
    # As in "image_name| comment", where the space is no part of a value.
    spaced = f"{delimiter} " in header_line and header_line.count(delimiter) == header_line.count(
        f"{delimiter} "
    )
    open_reader = partial(_reader, place, delimiter, encoding, no_quoting=no_quoting, spaced=spaced)
    with open_reader() as reader:
        try:
            names = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise SourceError(
                f"the header of {place.uri} is not CSV: {one_line(error)}; {_QUOTING_HINT}"
            ) from error
        if not all(map(is_utf8, names)):
            raise SourceError(f"{place.uri} is not {encoding or 'UTF-8'}: {REMEDY}")
        if any("\0" in name for name in names):
            raise SourceError(
                f"{place.uri} has zero bytes in its header: if it is UTF-16, give utf-16-le or "
                "utf-16-be as `encoding`"
            )
        if is_default and len(names) == 1:
            _check_delimiter(place, names[0])
        # The index that pandas writes has no name.
        header = tuple(name or f"column_{number}" for number, name in enumerate(names, 1))
        head = [
            row.values for row in islice(_rows(reader, header, place.name, encoding), HEAD_ROWS)
        ]
    sample = [values for values in head if values is not None]
    columns = {name: ColumnOfText([values[name] for values in sample]) for name in header}

    notes = Counter[str]()

    def read(keep: frozenset[str]) -> Iterator[Row]:
        notes.clear()
        convert = {name: columns[name].conversion for name in columns if name not in keep}
        with open_reader() as reader:
            next(reader)
            for row in _rows(reader, header, place.name, encoding):
                if row.values is not None:
                    for name, conversion in convert.items():
                        row.values[name] = value = conversion(row.values[name])
                        if isinstance(value, str) and conversion is not _text:
                            kind = _KINDS[conversion]
                            notes[f"cells of the column {name} are text, and not {kind}"] += 1
                yield row

    return Table(header, None, read, notes=notes, text_columns=columns)


def _default_delimiter(place: Place, header: str) -> str:
    name = without_compression(place.name).lower()
    if not name.endswith(".txt"):
        return "\t" if name.endswith(".tsv") else ","
    return max(_DELIMITERS, key=header.count) if any(map(header.count, _DELIMITERS)) else ","


def _check_delimiter(place: Place, header: str) -> None:
    """Raise SourceError for a header of one column that another delimiter would split."""
    delimiter = max(_DELIMITERS, key=header.count)
    if delimiter in header:
        raise SourceError(
            f"{place.uri} has one column, {header!r}: if its columns are separated by "
            f"{delimiter!r}, give that as `delimiter`"
        )


@contextmanager
def _reader(
    place: Place, delimiter: str, encoding: str | None, *, no_quoting: bool, spaced: bool
) -> Iterator[Any]:
    # The limit is global to the csv module; its default of 128 KiB rejects long texts.
    csv.field_size_limit(MAX_FILE_BYTES)
    with open_text(place, "", encoding) as text:
        # Without strict, a quote that is never closed silently swallows the rows after it.
        quoting: Literal[0, 3] = csv.QUOTE_NONE if no_quoting else csv.QUOTE_MINIMAL
        yield csv.reader(
            text, delimiter=delimiter, quoting=quoting, skipinitialspace=spaced, strict=True
        )


def _rows(reader: Any, header: tuple[str, ...], name: str, encoding: str | None) -> Iterator[Row]:
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
            yield Row(number, fault=f"{lines} is not CSV: {one_line(error)}; {_QUOTING_HINT}")
            continue
        if not cells:
            continue
        number += 1
        where = f"{name}:{start}"
        if len(cells) != len(header):
            fault = f"{where} has {len(cells)} columns, and the header has {len(header)}"
            yield Row(number, fault=fault)
        elif not all(map(is_utf8, cells)):
            yield Row(number, fault=f"{where} is not valid {encoding or 'UTF-8'}: {REMEDY}")
        else:
            yield Row(number, dict(zip(header, cells, strict=True)))


class ColumnOfText:
    """What the first cells of a column show of its type."""

    def __init__(self, cells: Iterable[str]) -> None:
        """Look at the first cells."""
        present = [cell for cell in cells if cell.strip().lower() not in _MISSING]
        # A remark among numbers, such as "sold out", is no number that was written in another way.
        numbers = [cell for cell in present if any(map(str.isdigit, cell))]
        self._relevant: dict[Conversion, int] = {
            convert: len(relevant)
            for convert, relevant in ((_integer, numbers), (_number, numbers), (_boolean, present))
            if not any(isinstance(convert(cell), str) for cell in relevant)
        }
        self._present = len(present)

    @property
    def conversion(self) -> Conversion:
        """What makes a value of a cell."""
        for convert, relevant in self._relevant.items():
            if 2 * relevant > self._present:
                return convert
        return _text

    def add(self, other: ColumnOfText) -> None:
        """Add what the first cells of the same column show in another file."""
        self._relevant = {
            convert: relevant + other._relevant[convert]
            for convert, relevant in self._relevant.items()
            if convert in other._relevant
        }
        self._present += other._present


def share_types(tables: Iterable[Table]) -> None:
    """Give each column one type in several tables, from the first cells in all of them."""
    shared: dict[str, ColumnOfText] = {}
    for table in tables:
        for name, column in table.text_columns.items():
            if name in shared:
                shared[name].add(column)
            table.text_columns[name] = shared.setdefault(name, column)


def _integer(cell: str) -> Any:
    """Convert an integer of 64 bits in the only way to write it: not `007`, `+7` or `7E5`."""
    if len(cell) <= _LONGEST_NUMBER and cell.lstrip("-").isdecimal():
        value = int(cell)
        if str(value) == cell and -(2**63) <= value < 2**63:
            return value
    return _other(cell)


def _number(cell: str) -> Any:
    """Convert a number that gives the cell again when it is written with as many decimals.

    An exponent is accepted as programs write it (`1e-05`, `1.50e+03`), not as in codes (`7E5`).
    """
    if len(cell) > _LONGEST_NUMBER:
        return _other(cell)
    if isinstance(_integer(cell), int):
        return float(cell) if f"{float(cell):.0f}" == cell else cell
    if match := _PLAIN.fullmatch(cell):
        return _if_same(cell, f".{len(match[1])}f")
    if match := _SCIENTIFIC.fullmatch(cell):
        return _if_same(cell, f".{len(match[1])}e")
    if "e" in cell:
        return _if_same(cell, "")
    return _other(cell)


def _if_same(cell: str, form: str) -> Any:
    """Return the number in a cell if, formatted again, it gives the cell; else the text."""
    try:
        value = float(cell)
    except ValueError:
        return _other(cell)
    same = math.isfinite(value) and format(value, form) == cell.replace("E", "e")
    return value if same else _other(cell)


def _boolean(cell: str) -> Any:
    return _BOOLEANS.get(cell.lower(), _other(cell))


def _other(cell: str) -> Any:
    """Return the value of a cell that is not of its column's type: None or the text."""
    return None if cell.strip().lower() in _MISSING else cell


def _text(cell: str) -> Any:
    return cell or None


_KINDS: dict[Conversion, str] = {
    _integer: "integers as the others",
    _number: "numbers as the others",
    _boolean: "true or false as the others",
}
