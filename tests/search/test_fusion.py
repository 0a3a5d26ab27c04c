"""Fusion modes follow their formulas, and do not depend on the order of candidates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mm_milvus.errors import OptionError
from mm_milvus.search.fusion import (
    FUSION_MODES,
    Background,
    fuse_scores,
    rank_order,
    ranks,
    weighted_terms,
)

MISSING = np.nan

modes = pytest.mark.parametrize("mode", FUSION_MODES)

scores = st.integers(-100, 100).map(lambda hundredths: hundredths / 100)
"""Equal to rounding, or clearly different."""


def tables(lists: int = 2):
    """Scores of up to twelve candidates, each scored in one list at least."""
    shapes = st.integers(1, 12).flatmap(
        lambda n: arrays.arrays(float, (lists, n), elements=scores | st.just(MISSING))
    )
    return shapes.filter(lambda table: not np.isnan(table).all(axis=0).any())


def background(lists: int = 2):
    means = st.lists(st.floats(-0.5, 0.5), min_size=lists, max_size=lists)
    deviations = st.lists(st.floats(0.05, 0.5), min_size=lists, max_size=lists)
    lowest = st.lists(st.floats(-1, 0.5), min_size=lists, max_size=lists)
    return st.builds(lambda *parts: Background(*map(np.array, parts)), means, deviations, lowest)


IMAGES, TEXTS = [0.3, 0.2, 0.1], [0.4, 0.8, MISSING]
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
def test_a_mode_follows_its_formula(mode, expected):
    assert fuse_scores(TABLE, mode) == pytest.approx(expected)


def test_pnorm_measures_how_far_an_item_stands_above_its_collections():
    noise = Background(np.array([0.1, 0.2]), np.array([0.1, 0.3]), np.array([-1, -1]))
    # z is 2, 1, 0 among the images, and 2/3, 2 among the texts.
    expected = [(16 + 16 / 81) ** 0.25, (1 + 16) ** 0.25, 0]
    assert fuse_scores(TABLE, "pnorm", background=noise) == pytest.approx(expected)


def test_only_the_ratio_of_weights_matters():
    assert fuse_scores(TABLE, "weighted", weights=[1, 3]) == pytest.approx(
        [0.5 * 0.3 + 1.5 * 0.4, 0.5 * 0.2 + 1.5 * 0.8, 0.5 * 0.1 + 1.5 * 0.4]
    )
    assert fuse_scores(TABLE, "rrf", weights=[2, 6]) == pytest.approx(
        fuse_scores(TABLE, "rrf", weights=[1, 3])
    )


@modes
def test_a_list_with_weight_0_has_no_influence(mode):
    single = fuse_scores(TABLE[:1], mode)
    with_another = fuse_scores(TABLE, mode, weights=[1, 0])
    ids = ["a", "b", "c"]
    expected = list(rank_order(single, TABLE[:1], ids))
    assert list(rank_order(with_another, TABLE[:1], ids)) == expected


def test_equal_scores_share_a_rank_and_the_next_one_counts_them():
    assert ranks(np.array([[0.5, 0.9, 0.9, MISSING]])).tolist() == [[3, 1, 1, 4]]


def test_ties_are_broken_by_the_sum_of_the_scores_then_by_item_id():
    table = np.array([[0.2, 0.1, 0.1], [0.7, 0.7, 0.7]])
    fused = fuse_scores(table, "max")
    assert list(rank_order(fused, table, ["c", "b", "a"])) == [0, 2, 1]


def test_differences_below_the_rounding_are_ties():
    table = np.array([[0.25 + 4e-8, 0.25 - 4e-8], [MISSING, MISSING]])
    for mode in FUSION_MODES:
        assert list(rank_order(fuse_scores(table, mode), table, ["b", "a"])) == [1, 0]


@modes
def test_no_candidates_give_no_scores(mode):
    assert fuse_scores(np.empty((2, 0)), mode).shape == (0,)


@modes
@given(table=tables(), noise=background(), data=st.data())
def test_the_order_of_candidates_and_of_lists_does_not_matter(mode, table, noise, data):
    fused = fuse_scores(table, mode, background=noise)
    order = data.draw(st.permutations(range(table.shape[1])))
    shuffled = fuse_scores(table[:, order], mode, background=noise)
    np.testing.assert_allclose(shuffled, fused[order], atol=1e-12)
    swapped = Background(noise.mean[::-1], noise.std[::-1], noise.lowest[::-1])
    np.testing.assert_allclose(
        fuse_scores(table[::-1], mode, background=swapped), fused, atol=1e-12
    )


@modes
@given(table=tables(3), noise=background(3))
def test_a_candidate_that_is_no_worse_in_every_list_is_fused_no_lower(mode, table, noise):
    fused = fuse_scores(table, mode, background=noise)
    assert np.isfinite(fused).all()
    floor = np.where(np.isnan(table), -2, table)
    for first in range(table.shape[1]):
        for second in range(table.shape[1]):
            if (floor[:, first] >= floor[:, second]).all():
                assert fused[first] >= fused[second] - 1e-9


@modes
@given(table=tables(), noise=background(), data=st.data())
def test_a_candidate_in_both_lists_is_never_below_the_same_one_in_one(mode, table, noise, data):
    place = data.draw(st.integers(0, table.shape[1] - 1))
    lost = data.draw(st.sampled_from([0, 1]))
    twin = table[:, [place]].copy()
    twin[lost] = MISSING
    fused = fuse_scores(np.hstack([table, twin]), mode, background=noise)
    assert fused[place] >= fused[-1] - 1e-12


@modes
@given(table=tables(), noise=background())
def test_the_fused_score_is_combined_from_the_terms(mode, table, noise):
    terms = weighted_terms(table, mode, [1, 1], noise)
    assert terms.shape == table.shape
    combined = FUSION_MODES[mode].combine(terms)
    np.testing.assert_allclose(combined, fuse_scores(table, mode, background=noise))


@given(table=tables(), scale=st.sampled_from([0.1, 0.25, 0.5]), shift=st.sampled_from([-0.3, 0.2]))
@pytest.mark.parametrize("mode", ["rrf", "zscore", "dbsf", "pnorm"])
def test_the_scale_of_a_list_does_not_matter(mode, table, scale, shift):
    """Unlike with max and weighted, scores of another range rank the same."""
    scaled = table.copy()
    scaled[1] = scaled[1] * scale + shift
    spread = [np.unique(row[~np.isnan(row)]).size != 1 for row in table]
    if all(spread):
        np.testing.assert_allclose(fuse_scores(scaled, mode), fuse_scores(table, mode), atol=1e-3)


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
def test_an_unknown_mode_or_bad_weights_are_rejected(mode, weights, reason):
    with pytest.raises(OptionError, match=reason):
        fuse_scores(TABLE, mode, weights=weights)
