"""Colours of groups: eleven that differ on white, also for most colour-blind eyes, and a grey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

COLOURS = (
    *("#2f5bea", "#d9480f", "#2b8a3e", "#b3446c", "#e8a400", "#6f42c1"),
    *("#0c8599", "#8a5a2b", "#e64980", "#74a12e", "#364152"),
)
REST_COLOUR = "#b4bac4"
REST = "others"


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, the commonest first; those beyond the palette share a grey."""
    common = [name for name, _ in sorted(Counter(names).items(), key=lambda each: (-each[1], each))]
    return {
        name: COLOURS[place] if place < len(COLOURS) else REST_COLOUR
        for place, name in enumerate(common)
    }
