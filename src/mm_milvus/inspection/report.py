"""The health of a data set's embeddings, as numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mm_milvus.inspection.clusters import best_clusters
from mm_milvus.inspection.geometry import (
    Groups,
    Vectors,
    effective_dimensions,
    mean_similarity,
    modality_gap,
    other_pair_similarity,
    pair_similarities,
    silhouettes,
)
from mm_milvus.inspection.neighbours import DUPLICATE_COSINE, neighbourhood, outliers
from mm_milvus.inspection.sample import Sample


@dataclass(frozen=True, slots=True)
class Spread:
    """How the vectors of one modality lie; None where there are too few to tell.

    mean_similarity       the mean cosine of two of them: the anisotropy of Ethayarajh (2019)
    effective_dimensions  the participation ratio of their covariance
    """

    count: int
    mean_similarity: float | None
    effective_dimensions: float | None


@dataclass(frozen=True, slots=True)
class Outlier:
    """An image that stands alone, and its mean cosine to the five nearest others."""

    item_id: str
    nearness: float


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What `mm-milvus inspect` finds out about the images of a sample and their distinct captions.

    by           the metadata key that groups the images, or "k-means"
    groups       how many groups
    silhouette   the mean over the images (Rousseeuw, 1987), by cosine; None with one group
    modality_gap the distance of the centroids of images and captions (Liang et al., 2022)
    true_pairs   the mean cosine of an image and a caption of it; None without captions
    other_pairs  the mean cosine of an image and a caption that it does not have
    near_duplicates  clusters of images linked by a cosine above 0.97, the largest first
    outliers     images whose five nearest others are far, the loneliest first
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
        """Ready for JSON."""
        return asdict(self)


def group(sample: Sample, by: str | None) -> tuple[str, list[str]]:
    """What groups the images, and the name of each image's group.

    by  a metadata key; None: the k-means clusters of the highest silhouette
    """
    if by is not None:
        return by, sample.values_of(by)
    return "k-means", [f"cluster {number + 1}" for number in best_clusters(sample.images)]


def examine(
    dataset: str, model: str, stored_images: int, sample: Sample, by: str, names: list[str]
) -> HealthReport:
    """All the numbers of one sample; names are the groups of its images."""
    near = neighbourhood(sample.images)
    groups = np.unique(names, return_inverse=True)[1].astype(np.int64)
    pairs = sample.pairs
    has_pairs = len(pairs) > 0
    has_others = has_pairs and len(pairs) < len(sample.items) * len(sample.captions)
    id_of = [item.item_id for item in sample.items]
    return HealthReport(
        dataset=dataset,
        model=model,
        stored_images=stored_images,
        images=_spread(sample.images),
        captions=_spread(sample.texts),
        modality_gap=modality_gap(sample.images, sample.texts) if has_pairs else None,
        true_pairs=float(pair_similarities(sample.images, sample.texts, pairs).mean())
        if has_pairs
        else None,
        other_pairs=other_pair_similarity(sample.images, sample.texts, pairs)
        if has_others
        else None,
        by=by,
        groups=int(groups.max()) + 1,
        silhouette=_silhouette(sample.images, groups),
        duplicate_cosine=DUPLICATE_COSINE,
        near_duplicates=[[id_of[row] for row in rows] for rows in near.duplicates],
        outliers=[
            Outlier(id_of[row], float(near.nearness[row])) for row in outliers(near.nearness)
        ],
    )


def _spread(vectors: Vectors) -> Spread:
    if len(vectors) < 2:
        return Spread(len(vectors), None, None)
    return Spread(len(vectors), mean_similarity(vectors), effective_dimensions(vectors))


def _silhouette(vectors: Vectors, groups: Groups) -> float | None:
    return float(silhouettes(vectors, groups).mean()) if groups.max() else None
