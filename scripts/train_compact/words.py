"""The texts that the text tower is fitted to: names and definitions, garments in colours."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path

from mm_milvus.encoders.spelling import LEAST_LETTERS

from .colours import COLOURS
from .downloads import wordnet
from .emoji import annotations
from .views import CLOTHES


def sentences(folder: Path) -> list[str]:
    """Return English texts without duplicates."""
    texts = [name for names in wordnet(folder, "lemma").values() for name in names.split(", ")]
    texts += wordnet(folder, "definition").values()
    emoji = annotations(folder)
    texts += [text for names in emoji.values() for text in names]
    texts += [", ".join(names[1:]) for names in emoji.values() if len(names) > 1]
    garments = [text for words in CLOTHES.values() for text in words]
    first_names = [names[0] for names in emoji.values()]
    texts += [f"{colour} {thing}" for colour, thing in itertools.product(COLOURS, garments)]
    texts += [f"{colour} {name}" for colour, name in zip(itertools.cycle(COLOURS), first_names)]
    return list(dict.fromkeys(text.lower() for text in texts))


def rare_words(texts: list[str], vocabulary: dict[str, int]) -> list[str]:
    """Return the words that the vocabulary has only in pieces, the most common first."""
    counts = Counter(word for text in texts for word in re.findall(r"[a-z]+", text))
    rare = [word for word in counts if len(word) >= LEAST_LETTERS and word not in vocabulary]
    return sorted(rare, key=lambda word: (-counts[word], word))
