"""The verb `inspect_dataset`: how the vectors of a stored dataset lie."""

from __future__ import annotations

from dataclasses import dataclass

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.errors import OptionError
from mm_milvus.inspection.clusters import best_clusters
from mm_milvus.inspection.report import InspectionReport, make_report
from mm_milvus.inspection.sample import Sample, read_sample
from mm_milvus.store.connection import StoreLike, opened
from mm_milvus.store.dataset import open_dataset


@dataclass(frozen=True, slots=True)
class Inspection:
    """An inspected dataset.

    Attributes:
        report: The numbers.
        sample: The images and captions that they describe.
        groups: The name of the group of each image of the sample: the value of the metadata key
            that groups them, or `cluster 1` and so on.
    """

    report: InspectionReport
    sample: Sample
    groups: list[str]


def inspect_dataset(
    dataset: str | None = None,
    *,
    store: StoreLike = DEFAULT_STORE,
    by: str | None = None,
    sample: int = 10_000,
) -> Inspection:
    """Measure how the vectors of a dataset lie: gap, groups, near duplicates, outliers.

    Nothing is written; `write_inspection` draws the result. All pairs of sampled images are
    compared, so that time grows with the square of the sample, and memory with the sample.

    Args:
        dataset: The name in the store (default: the only dataset in it).
        store: A Milvus Lite file (`*.db`), the URI of a server, or an open `Store`.
        by: The metadata key whose values group the images (default: the k-means clusters with the
            highest silhouette).
        sample: Maximum number of images; at least 2. The same images are drawn every time.

    Returns:
        The report, and the sample and groups that it describes.

    Raises:
        QueryError: When the dataset is unknown, has fewer than two images, or no image of the
            sample has the metadata key.
        OptionError: When the sample is too small.
        StoreError: When the store cannot be reached.
    """
    if sample < 2:
        raise OptionError(f"`sample` is {sample}, and must be at least 2")
    with opened(store, must_exist=True) as connected:
        stored = open_dataset(connected, dataset)
        drawn = read_sample(stored, sample)
        stored_images = stored.images.count()
    if by is None:
        groups = [f"cluster {cluster + 1}" for cluster in best_clusters(drawn.image_vectors)]
    else:
        groups = drawn.metadata_values(by)
    report = make_report(
        drawn,
        dataset=stored.manifest.dataset,
        model=stored.manifest.encoder,
        stored_images=stored_images,
        by=by or "k-means",
        groups=groups,
    )
    return Inspection(report, drawn, groups)
