"""Two lists of matches to one ranking: pure functions, the same result for the same lists.

A fusion mode maps an item's places in the two lists to the score it is ranked by. Ties are
broken by the scores in the lists, then by item_id, so that the order never depends on the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from mm_milvus.search.hits import Hit, ListScore
from mm_milvus.store import Match

SCORE_DECIMALS = 6
"""Equal vectors score alike to about 1e-7 only, by where they lie in an engine's memory: scores
are rounded, so that they tie and rank alike on every engine."""

RRF_K = 60
"""The constant of reciprocal rank fusion, as its authors chose it."""

Places = Sequence[ListScore | None]
Fusion = Callable[[Places], float]


def max_score(places: Places) -> float:
    """The best raw score: max_i s_i. The usual merge of two lists."""
    return max(place.score for place in places if place is not None)


def reciprocal_rank(places: Places) -> float:
    """Reciprocal rank fusion: sum_i 1 / (60 + rank_i).

    Cormack, Clarke and Büttcher (2009), "Reciprocal rank fusion outperforms Condorcet and
    individual rank learning methods".
    """
    return sum(1 / (RRF_K + place.rank) for place in places if place is not None)


FUSION_MODES: Mapping[str, Fusion] = {"max": max_score, "rrf": reciprocal_rank}


def fuse(images: Sequence[Match], texts: Sequence[Match], fusion: Fusion) -> list[Hit]:
    """Every item of either list once, ranked by the fusion of its places, best first."""
    best_images, best_texts = _best_by_item(images), _best_by_item(texts)
    image_places, text_places = _places(best_images), _places(best_texts)
    hits = []
    for item_id in best_images.keys() | best_texts.keys():
        image, text = image_places.get(item_id), text_places.get(item_id)
        match = best_texts.get(item_id) or best_images[item_id]
        hits.append(
            Hit(
                item_id=item_id,
                uri=match.uri,
                score=fusion((image, text)),
                caption=match.caption,
                metadata=match.metadata,
                image=image,
                text=text,
            )
        )
    return sorted(hits, key=_order)


def _best_by_item(matches: Sequence[Match]) -> dict[str, Match]:
    best: dict[str, Match] = {}
    for match in matches:
        rival = best.get(match.item_id)
        if rival is None or _match_order(match) < _match_order(rival):
            best[match.item_id] = match
    return best


def _match_order(match: Match) -> tuple[float, str]:
    return -round(match.score, SCORE_DECIMALS), match.caption or ""


def _places(best: Mapping[str, Match]) -> dict[str, ListScore]:
    places: dict[str, ListScore] = {}
    rounded = {item_id: round(match.score, SCORE_DECIMALS) for item_id, match in best.items()}
    ordered = sorted(rounded, key=lambda item_id: -rounded[item_id])
    for score, tied in groupby(ordered, key=rounded.__getitem__):
        rank = len(places) + 1
        places.update({item_id: ListScore(score, rank) for item_id in tied})
    return places


def _order(hit: Hit) -> tuple[float, float, float, str]:
    text = hit.text.score if hit.text else -1.0
    image = hit.image.score if hit.image else -1.0
    return -hit.score, -max(text, image), -(text + image), hit.item_id
