"""The verb `tune`: measure recall and latency of a dataset's indexes, and choose how to search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.store.connection import StoreLike, opened
from mm_milvus.store.dataset import open_dataset
from mm_milvus.store.manifest import TARGET_RECALL
from mm_milvus.store.tuner import Tuning


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneReport:
    """What `tune` measured and chose.

    Attributes:
        dataset: Name of the dataset.
        index_type: Type of its vector indexes.
        target_recall: The recall at 10 that searches must reach.
        tunings: The measured curve and the choice, by modality of the collection.
    """

    dataset: str
    index_type: str
    target_recall: float
    tunings: dict[str, Tuning]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-compatible values."""
        return {
            "dataset": self.dataset,
            "index": self.index_type,
            "target_recall": self.target_recall,
            "collections": {name: tuning.to_dict() for name, tuning in self.tunings.items()},
        }


def tune(
    dataset: str | None = None,
    store: StoreLike = DEFAULT_STORE,
    *,
    target_recall: float = TARGET_RECALL,
    on_start: Callable[[str], object] | None = None,
) -> TuneReport:
    """Measure recall and latency of a dataset's indexes, and choose the search parameters.

    Recall at 10 is measured against exact search, with a sample of the stored rows as queries. The
    smallest nprobe or ef whose recall reaches the target with 95 % confidence is written to the
    dataset's manifest, and used by every later search. The end of an ingest does the same, for the
    target that was set last.

    Args:
        dataset: Name of the dataset (default: the only one in the store).
        store: A Milvus Lite file (`*.db`), the URI of a server, or an open `Store`.
        target_recall: Share of the ten exact nearest neighbours that a search must find, above 0,
            up to 1.
        on_start: Called with the name of each collection before it is measured.

    Returns:
        The measured curves and the choice.

    Raises:
        OptionError: When the target is out of range.
        QueryError: When there is no such dataset, or no name is given and there are several.
        StoreError: When the store cannot be reached, or the file does not exist.
    """
    with opened(store, must_exist=True) as connected:
        target = open_dataset(connected, dataset).with_target(target_recall)
        tunings = {}
        for collection in target.collections:
            if on_start is not None:
                on_start(collection.name)
            tunings[collection.modality.value] = target.tuner(collection).tune()
        params = {modality: tuning.params for modality, tuning in tunings.items()}
        target = target.with_manifest(replace(target.manifest, search_params=params))
    return TuneReport(
        dataset=target.name,
        index_type=target.manifest.index_type,
        target_recall=target_recall,
        tunings=tunings,
    )
