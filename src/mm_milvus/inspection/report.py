"""The numbers of an inspection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mm_milvus.arrays import Vectors
from mm_milvus.inspection.geometry import (
    Groups,
    effective_dimensions,
    mean_similarity,
    modality_gap,
    other_pair_similarity,
    pair_similarities,
    silhouettes,
)
from mm_milvus.inspection.neighbours import DUPLICATE_COSINE, find_neighbours, find_outliers
from mm_milvus.inspection.sample import Sample


@dataclass(frozen=True, slots=True)
class Spread:
    """How the vectors of one modality are spread; None where there are fewer than two.

    Attributes:
        count: Number of vectors.
        mean_similarity: Mean cosine of two different vectors, -1 to 1: the anisotropy of
            Ethayarajh (2019).
        effective_dimensions: Participation ratio of their covariance, 1 to dim.
    """

    count: int
    mean_similarity: float | None
    effective_dimensions: float | None


@dataclass(frozen=True, slots=True)
class Outlier:
    """An image that is far from all others.

    Attributes:
        item_id: The item.
        nearness: Mean cosine to the five nearest other images, -1 to 1.
    """

    item_id: str
    nearness: float


@dataclass(frozen=True, slots=True)
class InspectionReport:
    """Numbers about the vectors of a sample of images and of their distinct captions.

    Attributes:
        dataset: The name in the store.
        model: The id of the encoder that made the vectors.
        stored_images: Number of images in the store; the sample may have fewer.
        images: Spread of the sampled images.
        captions: Spread of their distinct captions.
        modality_gap: Distance of the centroids of images and captions, 0 to 2 (Liang et al.,
            2022); None without captions.
        true_pairs: Mean cosine of an image and one of its captions; None without captions.
        other_pairs: Mean cosine of an image and a caption that is not its own; None where there
            is no such pair.
        by: The metadata key that groups the images, or "k-means".
        groups: Number of groups.
        silhouette: Mean silhouette of the images by cosine distance, -1 to 1 (Rousseeuw, 1987);
            None with one group.
        duplicate_cosine: The cosine above which two images are near duplicates.
        near_duplicates: Item ids of clusters of near duplicates, the largest cluster first.
        outliers: Images that are far from all others, the farthest first.
    """

    dataset: str
    model: str
    stored_images: int
    images: Spread
    captions: Spread
    modality_gap: float | None
    true_pairs: float | None
    other_pairs: float | None
    by: str
    groups: int
    silhouette: float | None
    duplicate_cosine: float
    near_duplicates: list[list[str]]
    outliers: list[Outlier]

    def to_dict(self) -> dict[str, Any]:
        """Return the report, ready for JSON."""
        return asdict(self)


def make_report(
    sample: Sample,
    *,
    dataset: str,
    model: str,
    stored_images: int,
    by: str,
    groups: Sequence[str],
) -> InspectionReport:
    """Compute all numbers of a sample; `groups` has the name of each image's group."""
    neighbours = find_neighbours(sample.image_vectors)
    numbers = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    vectors = sample.image_vectors, sample.caption_vectors
    pairs = sample.pairs
    has_pairs = len(pairs) > 0
    has_others = has_pairs and len(pairs) < len(sample.items) * len(sample.captions)
    item_ids = [item.item_id for item in sample.items]
    return InspectionReport(
        dataset=dataset,
        model=model,
        stored_images=stored_images,
        images=_spread(sample.image_vectors),
        captions=_spread(sample.caption_vectors),
        modality_gap=modality_gap(*vectors) if has_pairs else None,
        true_pairs=float(pair_similarities(*vectors, pairs).mean()) if has_pairs else None,
        other_pairs=other_pair_similarity(*vectors, pairs) if has_others else None,
        by=by,
        groups=int(numbers.max()) + 1,
        silhouette=_silhouette(sample.image_vectors, numbers),
        duplicate_cosine=DUPLICATE_COSINE,
        near_duplicates=[[item_ids[row] for row in rows] for rows in neighbours.duplicates],
        outliers=[
            Outlier(item_ids[row], float(neighbours.nearness[row]))
            for row in find_outliers(neighbours.nearness)
        ],
    )


def _spread(vectors: Vectors) -> Spread:
    if len(vectors) < 2:
        return Spread(len(vectors), None, None)
    return Spread(len(vectors), mean_similarity(vectors), effective_dimensions(vectors))


def _silhouette(vectors: Vectors, groups: Groups) -> float | None:
    return float(silhouettes(vectors, groups).mean()) if groups.max() else None
