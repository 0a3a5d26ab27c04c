"""Typos are corrected, and nothing else is changed."""

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
def test_a_single_typo_is_corrected(spelling: Spelling, written: str, meant: str) -> None:
    assert spelling.correct(written, 10) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [("wikning", "winking"), ("perrson", "person"), ("jaket", "jacket")],
)
def test_the_likelier_typo_wins_over_the_more_common_word(
    spelling: Spelling, written: str, meant: str
) -> None:
    assert spelling.correct(written, 10) == meant


def test_of_equally_likely_words_the_more_common_one_wins() -> None:
    assert Spelling(["bread", "break"]).correct("breax", 1) == "bread"
    assert Spelling(["break", "bread"]).correct("breax", 1) == "break"


@pytest.mark.parametrize(
    "text",
    [
        "", "tshirt", "TShirt", "Pearson", "jkc", "jxcxet", "jaćket", "jacket2", "jacke_t",
        "куртка", "shirtshirtshirtshirtshirtx",
    ],
)  # fmt: skip
def test_other_texts_are_unchanged(spelling: Spelling, text: str) -> None:
    assert spelling.correct(text, 10) == text


@pytest.mark.parametrize("plural", ["persons", "jackets", "Shirts", "dresses", "ladies"])
def test_the_plural_of_a_known_word_is_not_corrected(plural: str) -> None:
    near = ["parsons", "jacket", "shirty", "dressed", "ladied"]
    spelling = Spelling([*near, "person", "shirt", "dress", "lady"])
    assert spelling.correct(plural, 1) == plural


def test_only_the_first_words_are_corrected(spelling: Spelling) -> None:
    assert spelling.correct("jackt jackt jackt", 2) == "jacket jacket jackt"
