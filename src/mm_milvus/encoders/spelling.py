"""Correct slips of the finger, after Norvig's "How to write a spelling corrector" (2007).

A word that no list knows becomes the commonest known word that is one slip away. Word pieces fall
apart at a slip, and the sum of their vectors with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from string import ascii_lowercase

LEAST_LETTERS, MOST_LETTERS = 4, 24
"""Of a word that is corrected: a shorter one is one slip away from too many others."""

WORD = re.compile(rf"(?<!\w)[a-z]{{{LEAST_LETTERS},{MOST_LETTERS}}}(?!\w)", re.IGNORECASE)

REMEMBERED = 50_000
"""Unknown words whose correction is kept: captions repeat theirs."""


class Spelling:
    """What words there are."""

    def __init__(self, words: Iterable[str]) -> None:
        """Take words in lower case, the commonest first."""
        self._rank: dict[str, int] = {}
        for word in words:
            self._rank.setdefault(word, len(self._rank))
        self._meant = lru_cache(REMEMBERED)(self._find)

    @property
    def words(self) -> list[str]:
        """The words, the commonest first."""
        return list(self._rank)

    def corrected(self, text: str, most: int) -> str:
        """The text with its unknown words replaced, where that is possible.

        most  so many words are looked at, so that a long text does not take long
        """
        return WORD.sub(lambda match: self._word(match[0]), text, count=most)

    def _word(self, written: str) -> str:
        word = written.lower()
        known = any(each in self._rank for each in (word, *singulars(word)))
        return written if known else self._meant(word)

    def _find(self, word: str) -> str:
        for slips in (likely_slips, other_letters, made_up_letters):
            if known := [each for each in slips(word) if each in self._rank]:
                return min(known, key=self._rank.__getitem__)
        return word


def singulars(word: str) -> list[str]:
    """What a word may be the regular plural of."""
    endings = (("s", ""), ("es", ""), ("ies", "y"))
    return [word.removesuffix(end) + one for end, one in endings if word.endswith(end)]


def likely_slips(word: str) -> Iterator[str]:
    """What was meant if a letter was forgotten, struck twice, or swapped with the next."""
    for at in range(len(word) + 1):
        before, after = word[:at], word[at:]
        for letter in ascii_lowercase:
            yield before + letter + after
        if len(after) > 1:
            yield before + (after[1:] if after[0] == after[1] else after[1] + after[0] + after[2:])


def other_letters(word: str) -> Iterator[str]:
    """What was meant if a letter is another one."""
    for at in range(len(word)):
        for letter in ascii_lowercase:
            yield word[:at] + letter + word[at + 1 :]


def made_up_letters(word: str) -> Iterator[str]:
    """What was meant if there is a letter too many."""
    for at in range(len(word)):
        yield word[:at] + word[at + 1 :]
