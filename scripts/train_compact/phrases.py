"""Variants of a text: plurals, templates, typos."""

from __future__ import annotations

import random

TEMPLATES = (
    "a photo of a {}",
    "a photo of {}",
    "a picture of {}",
    "an image of a {}",
    "a {}",
    "{} on a white background",
    "{} emoji",
)


def in_a_template(text: str, rng: random.Random) -> str:
    """Insert the text into a random template."""
    return rng.choice(TEMPLATES).format(text)


def plural(text: str) -> str:
    """Put the last word into the plural, by the regular rule."""
    if not text or not text[-1].isalpha() or text[-1] == "s":
        return text
    if text.endswith(("x", "ch", "sh", "z")):
        return f"{text}es"
    if text.endswith("y") and text[-2:-1] not in tuple("aeiou"):
        return f"{text[:-1]}ies"
    return f"{text}s"


def misspelt(text: str, rng: random.Random) -> str:
    """Drop, double or swap one letter of a word of five letters or more."""
    words = text.split(" ")
    long_words = [n for n, word in enumerate(words) if len(word) > 4]
    if not long_words:
        return text
    number = rng.choice(long_words)
    word = words[number]
    at = rng.randrange(1, len(word) - 1)
    words[number] = rng.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        )
    )
    return " ".join(words)
