"""Paths of a table that are spelled in another way than their files are found, and counted."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from mm_milvus.sources.near_paths import BACKSLASHES, LETTER_CASE, UNICODE
from mm_milvus.sources.open import open_source

from .conftest import read_items

NFC, NFD = (unicodedata.normalize(form, "d/Café.png") for form in ("NFC", "NFD"))


@pytest.mark.parametrize("name", ["set.jsonl", "metadata.jsonl"])
@pytest.mark.parametrize(
    ("stored", "written", "note"),
    [
        ("d/a.png", "d\\a.png", BACKSLASHES),
        ("d/a.png", ".\\d\\a.png", BACKSLASHES),
        (NFD, NFC, UNICODE),
        (NFC, NFD, UNICODE),
        ("d/a.PNG", "D/A.png", LETTER_CASE),
        ("d/a.PNG", "D\\a.png", LETTER_CASE),
        (NFD, NFC.upper(), LETTER_CASE),
        ("d/STRASSE.png", "d/straße.png", LETTER_CASE),
    ],
)
def test_the_only_file_that_a_path_can_mean_is_read(
    tmp_path: Path, name: str, stored: str, written: str, note: str
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / stored).write_bytes(b"A")
    (tmp_path / name).write_text(json.dumps({"file_name": written, "text": "x"}))
    path = tmp_path if name == "metadata.jsonl" else tmp_path / name
    items = read_items(path)
    assert items.captions == {stored: ["x"]}
    source = open_source(path)
    assert list(source.batches())
    assert source.notes == {note: 1}


def test_a_path_that_can_mean_several_files_is_rejected(tmp_path: Path) -> None:
    for name in ("a.PNG", "A.png"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "set.csv").write_text("image,text\na.png,x\nA.png,exact\n../a.png,out\n")
    items = read_items(tmp_path / "set.csv")
    assert items.captions == {"A.png": ["exact"]}
    assert items.rejects["a.png"] == "the image cannot be read: no such file"
    assert "leads out" in items.rejects["../a.png"]


def test_the_exact_unicode_form_is_preferred_to_another_case(tmp_path: Path) -> None:
    for name in (unicodedata.normalize("NFD", "é.png"), "É.png"):
        (tmp_path / name).write_bytes(b"A")
    (tmp_path / "set.csv").write_text("image,text\né.png,x\n")
    assert read_items(tmp_path / "set.csv").ids == [unicodedata.normalize("NFD", "é.png")]


def test_cells_that_are_not_of_their_columns_type_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"A")
    rows = ["a.png,1,1.5,true,x"] * 1000 + ["a.png,many,n/a,perhaps,1"] * 3
    (tmp_path / "set.csv").write_text("\n".join(["image,n,x,b,text", *rows]))
    source = open_source(tmp_path / "set.csv")
    for _ in range(2):
        assert list(source.batches())
        assert source.notes == {
            "cells of the column n are text, and not integers as the others": 3,
            "cells of the column b are text, and not true or false as the others": 3,
        }
