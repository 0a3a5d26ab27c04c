"""Correction of typos, after Norvig's "How to write a spelling corrector" (2007).

An unknown word is replaced by the most common known word that is one edit away. Without this, the
tokenizer splits a misspelt word into pieces, and the sum of their vectors is far from the word's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from string import ascii_lowercase

from mm_milvus.text import replace_surrogates

LEAST_LETTERS, MOST_LETTERS = 4, 24
"""Length of the words that are corrected: a shorter word is one edit away from too many others."""

WORD = re.compile(rf"(?<!\w)[a-z]{{{LEAST_LETTERS},{MOST_LETTERS}}}(?!\w)", re.IGNORECASE)

CACHED_WORDS = 50_000
"""Unknown words whose correction is kept, since captions repeat theirs."""


class Spelling:
    """A spelling corrector with a fixed vocabulary."""

    def __init__(self, words: Iterable[str]) -> None:
        """Build the vocabulary.

        Args:
            words: Known words in lower case, the most common first.
        """
        self._rank: dict[str, int] = {}
        for word in words:
            self._rank.setdefault(word, len(self._rank))
        self._cached_correction = lru_cache(CACHED_WORDS)(self._correction)

    @property
    def words(self) -> list[str]:
        """The vocabulary, the most common words first."""
        return list(self._rank)

    def correct(self, text: str, max_words: int) -> str:
        """Replace unknown words of a text by known ones, where one is a single edit away.

        Args:
            text: Any text; only words of ASCII letters are looked at.
            max_words: Number of words that are looked at, so that a long text does not take long.

        Returns:
            The corrected text.
        """
        return WORD.sub(lambda match: self._correct_word(match[0]), text, count=max_words)

    def _correct_word(self, word: str) -> str:
        lower = word.lower()
        is_known = any(form in self._rank for form in (lower, *singulars(lower)))
        return word if is_known else self._cached_correction(lower)

    def _correction(self, word: str) -> str:
        for edits in (undo_likely_typos, replace_letters, delete_letters):
            if candidates := [edited for edited in edits(word) if edited in self._rank]:
                return min(candidates, key=self._rank.__getitem__)
        return word


def singulars(word: str) -> list[str]:
    """Return the words whose regular plural this word may be."""
    endings = (("s", ""), ("es", ""), ("ies", "y"))
    return [
        word.removesuffix(plural) + singular
        for plural, singular in endings
        if word.endswith(plural)
    ]


def undo_likely_typos(word: str) -> Iterator[str]:
    """Yield the word with a letter inserted, a doubled letter halved, or two neighbours swapped."""
    for index in range(len(word) + 1):
        before, after = word[:index], word[index:]
        for letter in ascii_lowercase:
            yield before + letter + after
        if len(after) > 1:
            yield before + (after[1:] if after[0] == after[1] else after[1] + after[0] + after[2:])


def replace_letters(word: str) -> Iterator[str]:
    """Yield the word with one letter replaced by another."""
    for index in range(len(word)):
        for letter in ascii_lowercase:
            yield word[:index] + letter + word[index + 1 :]


def delete_letters(word: str) -> Iterator[str]:
    """Yield the word with one letter removed."""
    for index in range(len(word)):
        yield word[:index] + word[index + 1 :]


def clean_texts(texts: Sequence[str], spelling: Spelling | None, max_words: int) -> list[str]:
    """Return texts as a tokenizer takes them: without lone surrogates, and corrected.

    Args:
        texts: Any texts.
        spelling: Corrects them; None: they are not corrected.
        max_words: Number of words per text that are looked at.
    """
    clean = [replace_surrogates(text) for text in texts]
    return clean if spelling is None else [spelling.correct(text, max_words) for text in clean]
