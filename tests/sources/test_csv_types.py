"""Types of the columns of a CSV file: what is a number, and that no cell is lost or changed."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .conftest import read_items

MISSING = {"", "nan", "null", "none", "n/a", "na"}


def read_column(folder: Path, cells: list[str]) -> list[Any]:
    """Write the cells as a column of metadata, and return the values read; None: missing."""
    (folder / "a.png").write_bytes(b"x")
    with (folder / "t.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "image", "cell"])
        writer.writerows((f"i{n}", "a.png", cell) for n, cell in enumerate(cells))
    items = read_items(folder / "t.csv", id_column="id")
    assert items.rejects == {}
    return [items[f"i{n}"]["metadata"].get("cell") for n in range(len(cells))]


def survives(cell: str, value: Any) -> bool:
    """Return whether a value has the content of its cell."""
    match value:
        case None:
            return cell.strip().lower() in MISSING
        case bool():
            return cell.lower() == str(value).lower()
        case int():
            return cell == str(value)
        case float():
            # With as many digits as the cell has: 0.10000000000000001 is how C writes 0.1.
            digits = len(Decimal(cell).as_tuple().digits)
            return float(cell) == value and Decimal(f"{value:.{digits - 1}e}") == Decimal(cell)
        case _:
            return value == cell


@pytest.mark.parametrize(
    "cells",
    [
        ["12E345", "11E300", "7E5"],
        ["7E5", "7E6"],
        ["7e5", "8e5"],
        ["1E-5", "2E-5"],
        ["1.5E3", "2.5E3"],
        ["7E5", "1.5"],
        ["00123", "00124"],
        ["00.5", "01.5"],
        ["+1", "+2"],
        ["-0", "1"],
        ["0x1f", "0x20"],
        ["1_000", "2_000"],
        [" 1", "2 "],
        ["1,5", "2,5"],
        ["٣", "٤"],
        ["²", "³"],
        ["inf", "-inf"],
        ["Infinity", "1e999"],
        ["1.0e+999", "1.0e-999"],
        ["9223372036854775808", "1"],
        ["10000000000000000000", "1.5"],
        ["12345678901234567890123", "1"],
        ["9007199254740993", "1.5"],
        ["0.1234567890123456789012345678901234567890123", "1.5"],
        ["9" * 5000, "1"],
        ["true", "1"],
        ["12", "13", "A14"],
        ["12", "sold out", "007"],
    ],
    ids=lambda cells: cells[0][:30],
)
def test_codes_stay_text(tmp_path: Path, cells: list[str]) -> None:
    assert read_column(tmp_path, cells) == cells


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-2", "0"], [1, -2, 0]),
        (["9223372036854775807", "-9223372036854775808"], [2**63 - 1, -(2**63)]),
        (["1.50", "49.5", "80"], [1.5, 49.5, 80.0]),
        (["0.10000000000000001", "-0.5"], [0.1, -0.5]),
        (["1e-05", "2.5e+20", "0.5"], [1e-05, 2.5e20, 0.5]),
        (["1.500000e-03", "2.000000E+10"], [0.0015, 2e10]),
        (["1", "", "nan", "N/A"], [1, None, None, None]),
        (["True", "false", "null"], [True, False, None]),
        (["", "x", "none"], [None, "x", "none"]),
        (["1.5", "sold out", "", "2"], [1.5, "sold out", None, 2.0]),
        (["12", "unknown", "-3"], [12, "unknown", -3]),
        (["1", "x", "y"], ["1", "x", "y"]),
        (["true", "false", "maybe"], ["true", "false", "maybe"]),
    ],
    ids=lambda cells: str(cells[0]),
)
def test_columns_of_numbers_and_booleans(tmp_path: Path, cells: list[str], values: Any) -> None:
    assert read_column(tmp_path, cells) == values
    assert list(map(type, read_column(tmp_path, cells))) == list(map(type, values))


@pytest.mark.parametrize("code", ["12E345", "7E5", "00123", "+1", "0x1f", "1e999", "9" * 30])
@pytest.mark.parametrize("number", ["1", "1.5", "true"])
def test_a_code_after_the_sample_stays_text(tmp_path: Path, number: str, code: str) -> None:
    assert read_column(tmp_path, [*[number] * 1000, code])[-1] == code


CELLS = st.one_of(
    st.from_regex(r"[+-]?[0-9]{0,25}\.?[0-9]{0,20}([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(repr),
    st.floats().map("{:.6e}".format),
    st.floats().map("{:.17g}".format),
    st.sampled_from(["true", "FALSE", "nan", "None", "", "N/A", "-0", "-0.0", "1e5", "0x1f"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cells=st.one_of(st.lists(CELLS, min_size=1, max_size=4), CELLS.map(lambda cell: [cell])))
@example(cells=["-0.0"])
@example(cells=["5e-324", "1.7976931348623157e+308"])
def test_every_cell_survives(tmp_path: Path, cells: list[str]) -> None:
    values = read_column(tmp_path, cells)
    assert [
        cell for cell, value in zip(cells, values, strict=True) if not survives(cell, value)
    ] == []


@pytest.mark.parametrize("number", ["1e400", "-1e400", "12E345"])
def test_a_number_of_jsonl_beyond_the_range_of_a_float_stays_text(
    tmp_path: Path, number: str
) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "t.jsonl").write_text(f'{{"image": "a.png", "n": {number}, "x": 1.5e3}}\n')
    assert read_items(tmp_path / "t.jsonl")["a.png"]["metadata"] == {"n": number, "x": 1500.0}
