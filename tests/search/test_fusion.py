"""Fusion: exact in its formulas, and the same for the same candidates in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mm_milvus.errors import QueryError
from mm_milvus.search.fusion import (
    FUSION_MODES,
    Background,
    fuse_scores,
    rank_order,
    ranks,
    weighted_terms,
)

NOTHING = np.nan

modes = pytest.mark.parametrize("mode", FUSION_MODES)

scores = st.integers(-100, 100).map(lambda hundredths: hundredths / 100)
"""Equal to rounding or clearly apart."""


def tables(lists: int = 2):
    """Scores of up to twelve candidates, each found in one list at least."""
    places = st.integers(1, 12).flatmap(
        lambda n: arrays.arrays(float, (lists, n), elements=scores | st.just(NOTHING))
    )
    return places.filter(lambda table: not np.isnan(table).all(axis=0).any())


def background(lists: int = 2):
    means = st.lists(st.floats(-0.5, 0.5), min_size=lists, max_size=lists)
    deviations = st.lists(st.floats(0.05, 0.5), min_size=lists, max_size=lists)
    return st.builds(lambda a, b: Background(np.array(a), np.array(b)), means, deviations)


IMAGES, TEXTS = [0.3, 0.2, 0.1], [0.4, 0.8, NOTHING]
TABLE = np.array([IMAGES, TEXTS])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("max", [0.4, 0.8, 0.1]),
        ("weighted", [0.7, 1.0, 0.5]),
        ("rrf", [1 / 61 + 1 / 62, 1 / 62 + 1 / 61, 1 / 63]),
        # Deviations from the means 0.2 and 0.6, in units of 0.0816 and 0.2.
        ("zscore", [1.5**0.5 - 1, 0 + 1, -(1.5**0.5) - 1]),
        ("dbsf", [(1.5**0.5 + 3) / 6 + 1 / 3, 1 / 2 + 2 / 3, (3 - 1.5**0.5) / 6 + 1 / 3]),
    ],
)
def test_a_mode_is_its_formula(mode, expected):
    assert fuse_scores(TABLE, mode) == pytest.approx(expected)


def test_pnorm_is_how_far_an_item_stands_above_its_collections():
    known = Background(np.array([0.1, 0.2]), np.array([0.1, 0.3]))
    # z is 2, 1, 0 among the images, and 2/3, 2 among the texts.
    expected = [(16 + 16 / 81) ** 0.25, (1 + 16) ** 0.25, 0]
    assert fuse_scores(TABLE, "pnorm", background=known) == pytest.approx(expected)


def test_weights_count_by_their_ratio():
    assert fuse_scores(TABLE, "weighted", weights=[1, 3]) == pytest.approx(
        [0.5 * 0.3 + 1.5 * 0.4, 0.5 * 0.2 + 1.5 * 0.8, 0.5 * 0.1 + 1.5 * 0.4]
    )
    assert fuse_scores(TABLE, "rrf", weights=[2, 6]) == pytest.approx(
        fuse_scores(TABLE, "rrf", weights=[1, 3])
    )


@modes
def test_a_list_without_weight_has_no_say(mode):
    alone = fuse_scores(TABLE[:1], mode)
    with_another = fuse_scores(TABLE, mode, weights=[1, 0])
    ids = ["a", "b", "c"]
    assert list(rank_order(with_another, TABLE[:1], ids)) == list(rank_order(alone, TABLE[:1], ids))


def test_equal_scores_share_a_rank_and_the_next_one_counts_them():
    assert ranks(np.array([[0.5, 0.9, 0.9, NOTHING]])).tolist() == [[3, 1, 1, 4]]


def test_ties_are_broken_by_the_sum_of_the_scores_then_by_name():
    table = np.array([[0.2, 0.1, 0.1], [0.7, 0.7, 0.7]])
    fused = fuse_scores(table, "max")
    assert list(rank_order(fused, table, ["c", "b", "a"])) == [0, 2, 1]


def test_noise_of_the_last_digits_is_no_difference():
    table = np.array([[0.25 + 4e-8, 0.25 - 4e-8], [NOTHING, NOTHING]])
    for mode in FUSION_MODES:
        assert list(rank_order(fuse_scores(table, mode), table, ["b", "a"])) == [1, 0]


@modes
def test_nothing_found_is_nothing_fused(mode):
    assert fuse_scores(np.empty((2, 0)), mode).shape == (0,)


@modes
@given(table=tables(), known=background(), data=st.data())
def test_the_order_of_candidates_and_of_lists_does_not_matter(mode, table, known, data):
    fused = fuse_scores(table, mode, background=known)
    order = data.draw(st.permutations(range(table.shape[1])))
    shuffled = fuse_scores(table[:, order], mode, background=known)
    np.testing.assert_allclose(shuffled, fused[order], atol=1e-12)
    swapped = Background(known.mean[::-1], known.std[::-1])
    np.testing.assert_allclose(
        fuse_scores(table[::-1], mode, background=swapped), fused, atol=1e-12
    )


@modes
@given(table=tables(3), known=background(3))
def test_what_scores_no_worse_in_every_list_is_ranked_no_lower(mode, table, known):
    fused = fuse_scores(table, mode, background=known)
    assert np.isfinite(fused).all()
    floor = np.where(np.isnan(table), -2, table)
    for first in range(table.shape[1]):
        for second in range(table.shape[1]):
            if (floor[:, first] >= floor[:, second]).all():
                assert fused[first] >= fused[second] - 1e-9


@modes
@given(table=tables(), known=background(), data=st.data())
def test_a_hit_in_both_lists_is_never_below_the_same_hit_in_one(mode, table, known, data):
    place = data.draw(st.integers(0, table.shape[1] - 1))
    lost = data.draw(st.sampled_from([0, 1]))
    twin = table[:, [place]].copy()
    twin[lost] = NOTHING
    fused = fuse_scores(np.hstack([table, twin]), mode, background=known)
    assert fused[place] >= fused[-1] - 1e-12


@modes
@given(table=tables(), known=background())
def test_the_terms_are_what_is_added_up(mode, table, known):
    terms = weighted_terms(table, mode, [1, 1], known)
    assert terms.shape == table.shape
    combined = FUSION_MODES[mode].combine(terms)
    np.testing.assert_allclose(combined, fuse_scores(table, mode, background=known))


@given(table=tables(), scale=st.sampled_from([0.1, 0.25, 0.5]), shift=st.sampled_from([-0.3, 0.2]))
@pytest.mark.parametrize("mode", ["rrf", "zscore", "dbsf", "pnorm"])
def test_the_scale_of_a_list_does_not_matter(mode, table, scale, shift):
    """Of what max and weighted cannot do: scores of another range rank the same."""
    other = table.copy()
    other[1] = other[1] * scale + shift
    spread = [np.unique(row[~np.isnan(row)]).size != 1 for row in table]
    if all(spread):
        np.testing.assert_allclose(fuse_scores(other, mode), fuse_scores(table, mode), atol=1e-3)


@pytest.mark.parametrize(
    ("mode", "weights", "reason"),
    [
        ("best", None, "unknown fusion 'best': the modes are pnorm, max"),
        ("rrf", [1], "1 fusion weights for 2 lists"),
        ("rrf", [1, -1], "make no sense"),
        ("rrf", [0, 0], "make no sense"),
        ("rrf", [1, float("nan")], "make no sense"),
    ],
)
def test_what_cannot_be_fused_is_refused(mode, weights, reason):
    with pytest.raises(QueryError, match=reason):
        fuse_scores(TABLE, mode, weights=weights)
