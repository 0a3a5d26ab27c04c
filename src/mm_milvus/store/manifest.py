"""What a data set was built with: JSON in the properties of both of its collections."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from mm_milvus.errors import StoreError

PROPERTY = "mm_milvus"
"""The key of the collections' properties that holds the manifest."""

SCHEMA_VERSION = 1

TARGET_RECALL = 0.98
"""What a data set is tuned for where nothing else was asked."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The facts that a query must know before it may compare vectors.

    dataset              the name that the user gave
    encoder              what `load_encoder` was given
    encoder_fingerprint  equal fingerprints mean equal vectors
    dim                  the length of a vector
    index_type           one of `INDEX_TYPES`
    document             the fields of a combined vector and their weights; empty: the image alone
    columns              promoted metadata keys and their types: `{"price": "double"}`
    target_recall        of the exact 10 nearest neighbours, the share that a search must find
    search_params        for each modality, the measured search parameters: `{"nprobe": 8}`
    rows                 for each modality, the row count after the last finished ingest;
                         empty while none has finished
    beside               what tells its collections from those of the data set's first encoder;
                         empty: it is the first
    """

    dataset: str
    encoder: str
    encoder_fingerprint: str
    dim: int
    index_type: str = "IVF_FLAT"
    metric_type: str = "IP"
    document: dict[str, float] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    target_recall: float = TARGET_RECALL
    search_params: dict[str, dict[str, int]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    beside: str = ""
    schema_version: int = SCHEMA_VERSION

    def require_encoder(self, encoder: str, fingerprint: str, remedy: str) -> None:
        """Refuse an encoder whose vectors are others: `StoreError`, which ends with the remedy."""
        if fingerprint != self.encoder_fingerprint:
            raise StoreError(
                f"data set {self.dataset!r} was built with {self.encoder} (fingerprint "
                f"{self.encoder_fingerprint}), and this is {encoder} (fingerprint {fingerprint}): "
                f"their vectors cannot be compared; {remedy}"
            )

    def to_properties(self) -> dict[str, str]:
        """The collection properties that hold this manifest."""
        return {PROPERTY: json.dumps(asdict(self), ensure_ascii=False)}


def read_manifest(properties: dict[str, Any], collection: str) -> Manifest:
    """The manifest in a collection's properties; `StoreError` when it is not one of ours."""
    text = properties.get(PROPERTY)
    if text is None:
        raise StoreError(
            f"collection {collection} was not made by mm-milvus: it has no manifest; "
            "choose another --dataset name"
        )
    try:
        fields = dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"collection {collection} has a manifest that cannot be read: {error}"
        ) from error
    if fields.get("schema_version") != SCHEMA_VERSION:
        raise StoreError(
            f"collection {collection} has schema version {fields.get('schema_version')}, and "
            f"this mm-milvus reads {SCHEMA_VERSION}; install the matching version or ingest anew"
        )
    return Manifest(**fields)
