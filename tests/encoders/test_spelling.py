"""Slips of the finger are corrected, and nothing else is touched."""

from __future__ import annotations

import pytest

from mm_milvus.encoders.spelling import Spelling

WORDS = ("the", "shirt", "person", "jake", "jacket", "winning", "winking", "pearson", "tshirt")


@pytest.fixture(scope="module")
def spelling() -> Spelling:
    return Spelling(WORDS)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("jackt", "jacket"),
        ("jaccket", "jacket"),
        ("jakcet", "jacket"),
        ("jaxket", "jacket"),
        ("jacketw", "jacket"),
        ("a Pesron!", "a person!"),
    ],
)
def test_one_slip_is_corrected(spelling: Spelling, written: str, meant: str) -> None:
    assert spelling.corrected(written, 10) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [("wikning", "winking"), ("perrson", "person"), ("jaket", "jacket")],
)
def test_the_likelier_slip_wins_over_the_commoner_word(
    spelling: Spelling, written: str, meant: str
) -> None:
    assert spelling.corrected(written, 10) == meant


def test_of_equally_likely_words_the_commoner_wins() -> None:
    assert Spelling(["bread", "break"]).corrected("breax", 1) == "bread"
    assert Spelling(["break", "bread"]).corrected("breax", 1) == "break"


@pytest.mark.parametrize(
    "text",
    [
        "", "tshirt", "TShirt", "Pearson", "jkc", "jxcxet", "jaćket", "jacket2", "jacke_t",
        "куртка", "shirtshirtshirtshirtshirtx",
    ],
)  # fmt: skip
def test_what_is_no_slip_is_left(spelling: Spelling, text: str) -> None:
    assert spelling.corrected(text, 10) == text


@pytest.mark.parametrize("plural", ["persons", "jackets", "Shirts", "dresses", "ladies"])
def test_the_plural_of_a_known_word_is_known(plural: str) -> None:
    near = ["parsons", "jacket", "shirty", "dressed", "ladied"]
    known = Spelling([*near, "person", "shirt", "dress", "lady"])
    assert known.corrected(plural, 1) == plural


def test_only_so_many_words_are_looked_at(spelling: Spelling) -> None:
    assert spelling.corrected("jackt jackt jackt", 2) == "jacket jacket jackt"
