"""The split of documents, the batches of an epoch, and the gradient of a batch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.encoders.trained.dual import Projection, ProjectionShape
from mm_milvus.keys import content_hash
from mm_milvus.training.model import ProjectionModel
from mm_milvus.training.pairs import Pairs, split
from mm_milvus.training.row_cache import RowCache
from mm_milvus.training.steps import Gradient, also_true, epoch
from mm_milvus.training.views import view_key


def make_pairs(images: list[int], captions: list[list[int]], fields: list[int] | None = None):
    return Pairs(
        item_ids=[f"item {n}" for n in range(len(images))],
        images=[f"image {n}" for n in images],
        texts=[f"text {n}" for n in range(20)],
        captions=captions,
        fields={} if fields is None else {"title": fields},
        relevance=[1.0] * len(images),
    )


@given(images=st.lists(st.integers(0, 30), min_size=1, max_size=60), seed=st.integers(0, 99))
def test_every_image_and_every_document_is_on_one_side(images, seed):
    pairs = make_pairs(images, [[0]] * len(images))
    sides = split(pairs, (0.3, 0.2), seed)
    images_of_side = [set(side.images) for side in sides]
    assert sum(map(len, images_of_side)) == len(set(images))
    assert sorted(i for side in sides for i in side.item_ids) == sorted(pairs.item_ids)


def test_sides_have_their_shares_and_stay_when_documents_are_added():
    many = make_pairs(list(range(4000)), [[0]] * 4000)
    few = make_pairs(list(range(1000)), [[0]] * 1000)
    sides = split(many, (0.1, 0.2), 0)
    assert len(sides[1]) == pytest.approx(400, abs=60)
    assert len(sides[2]) == pytest.approx(800, abs=80)
    assert set(split(few, (0.1, 0.2), 0)[1].images) <= set(sides[1].images)


@pytest.mark.parametrize(("captions", "count"), [("one", 3), ("all", 6)])
def test_an_epoch_shows_each_document_with_one_or_all_of_its_captions(captions, count):
    pairs = make_pairs([0, 1, 2], [[0, 1, 2], [3], [4, 5]])
    seen = Counter()
    for number in range(40):
        [batch] = epoch(pairs, captions=captions, views=2, batch_size=99, seed=(0, number))
        assert len(batch) == count
        assert sorted(set(batch.rows.tolist())) == [0, 1, 2]
        for row, text, view in zip(batch.rows, batch.texts, batch.views, strict=True):
            assert text in pairs.captions[row]
            seen[int(row), int(text), int(view)] += 1
    assert len(seen) == 12  # every caption, in every view


def test_an_epoch_depends_on_its_seed_alone():
    pairs = make_pairs(list(range(50)), [[n % 20] for n in range(50)])
    batches = [
        [b.rows.tolist() for b in epoch(pairs, captions="one", views=1, batch_size=8, seed=seed)]
        for seed in ((1, 2), (1, 2), (1, 3))
    ]
    assert batches[0] == batches[1] != batches[2]
    # 50 pairs in batches of 8 leave 2; a last batch of a single pair would have no negatives.
    assert [len(b) for b in batches[0]] == [8] * 6 + [2]


def test_matching_pairs_are_no_negatives():
    pairs = make_pairs([0, 1, 2, 0], [[0, 1], [1], [2], [3]])
    [batch] = epoch(pairs, captions="one", views=1, batch_size=9, seed=(0, 0))
    matches = also_true(pairs, batch)
    for line, (row, text) in enumerate(zip(batch.rows, batch.texts, strict=True)):
        for column, other in enumerate(batch.rows):
            fits = text in pairs.captions[other] or pairs.images[row] == pairs.images[other]
            assert bool(matches[line, column]) == fits


@pytest.mark.parametrize("piece", [1, 3, 7, 99])
def test_pieces_give_the_gradient_of_the_whole_batch(tmp_path, piece):
    pairs = make_pairs(
        list(range(8)), [[n] for n in range(8)], [n if n % 3 else -1 for n in range(8)]
    )
    pairs.relevance = [float(n) for n in range(8)]
    random = np.random.default_rng(0)
    images, texts = RowCache(tmp_path / "images"), RowCache(tmp_path / "texts")
    images.add([view_key(key, 0) for key in pairs.images], random.normal(size=(8, 6)))
    all_texts = [*pairs.texts, ""]
    keys = [content_hash(text) for text in all_texts]
    texts.add(keys, random.normal(size=(len(keys), 5)))
    [batch] = epoch(pairs, captions="one", views=1, batch_size=8, seed=(0, 0))
    gradients = []
    for size in (None, piece):
        torch.manual_seed(0)
        projection = Projection(ProjectionShape(6, 5, 4, hidden=7))
        model = ProjectionModel(projection, images, texts, torch.device("cpu"))
        weights = {"image": 0.7, "title": 0.3}
        loss = Gradient(model, pairs, weights, torch.tensor(2.5), size)(batch)
        gradients.append((loss, [p.grad for p in projection.parameters()]))
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-6)
    for whole, pieced in zip(gradients[0][1], gradients[1][1], strict=True):
        torch.testing.assert_close(whole, pieced, rtol=1e-4, atol=1e-6)
