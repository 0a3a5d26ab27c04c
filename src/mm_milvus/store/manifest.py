"""What a dataset was built with: JSON in the properties of both of its collections."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from mm_milvus.errors import StoreError

PROPERTY = "mm_milvus"
"""The key of the collections' properties that holds the manifest."""

VERSION_PROPERTY = "mm_milvus_version"
"""The key of the collections' properties that holds a random text, another one whenever a manifest
is written: what a reader keeps of a dataset is valid until it changes."""

SCHEMA_VERSION = 2
"""Version of new datasets.

1  mm-milvus 0.1 and 0.2
2  `promoted`, `nullable` and `unfit` describe the columns, which may be nullable. Those of version
   1 are what version 2 has for `promote` where the engine has no null, so such a dataset is used
   unchanged, and becomes version 2 when its manifest is written next.
"""

READABLE_VERSIONS = (1, SCHEMA_VERSION)
"""Versions whose datasets can be searched and written to; others can be dropped and rebuilt."""

JSON_NAMES = {"suffix": "beside"}  # codespell:ignore beside
"""Fields of the manifest that have another name in the stored JSON."""

TARGET_RECALL = 0.98
"""Target recall of a new dataset."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a dataset was built with: what a query must know before it compares vectors.

    It is stored as the JSON of `to_dict`, which existing datasets depend on.

    Attributes:
        dataset: The name that the user gave.
        encoder: The id of the encoder, as `load_encoder` takes it.
        encoder_fingerprint: Equal fingerprints mean equal vectors.
        dim: Numbers per vector.
        index_type: Type of the vector index, one of `choices.IndexName`.
        metric_type: `IP`: the inner product.
        document: Weights by field of vectors that combine several fields of an item; empty where
            a vector is that of the image alone.
        columns: The metadata keys that have a typed column, and their types:
            `{"price": "double"}`.
        promoted: Those of these keys that were chosen (`promote`); the others were found in the
            data.
        nullable: Whether the columns are nullable.
        unfit: By key, what is stored in the metadata and not in the key's column, because it does
            not fit: "number", "text", "boolean" or "other".
        target_recall: Share of the ten exact nearest neighbours that a search must find.
        search_params: The measured search parameters by modality: `{"image": {"nprobe": 8}}`.
        rows: The row count by modality after the last finished ingest; empty while none has
            finished.
        suffix: Suffix of the collections' names that distinguishes them from those of the
            dataset's first encoder; empty for the first.
        source_options: The options of the last ingest's source that differ from their defaults,
            by name; None for a dataset that was made before they were recorded.
        schema_version: Version of the collections' schema.
    """

    dataset: str
    encoder: str
    encoder_fingerprint: str
    dim: int
    index_type: str = "IVF_FLAT"
    metric_type: str = "IP"
    document: dict[str, float] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    promoted: list[str] = field(default_factory=list)
    nullable: bool = False
    unfit: dict[str, list[str]] = field(default_factory=dict)
    target_recall: float = TARGET_RECALL
    search_params: dict[str, dict[str, int]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    suffix: str = ""
    source_options: dict[str, Any] | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def is_readable(self) -> bool:
        """Whether this version of mm-milvus can search the dataset and write to it."""
        return self.schema_version in READABLE_VERSIONS

    def require_readable(self) -> None:
        """Raise StoreError for a dataset whose schema has a version of another mm-milvus."""
        if not self.is_readable:
            versions = " and ".join(map(str, READABLE_VERSIONS))
            raise StoreError(
                f"dataset {self.dataset!r} has schema version {self.schema_version}, and this "
                f"mm-milvus reads {versions}; install the matching version, build the dataset "
                "again from its source (`rebuild`), or drop it"
            )

    def require_encoder(self, encoder: str, fingerprint: str, remedy: str) -> None:
        """Raise StoreError for an encoder whose vectors cannot be compared with the stored ones.

        Args:
            encoder: The id of the encoder.
            fingerprint: Its fingerprint.
            remedy: What to do about it; the message ends with it.
        """
        if fingerprint != self.encoder_fingerprint:
            raise StoreError(
                f"dataset {self.dataset!r} was built with {self.encoder} (fingerprint "
                f"{self.encoder_fingerprint}), and this is {encoder} (fingerprint {fingerprint}): "
                f"their vectors cannot be compared; {remedy}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as JSON-compatible values."""
        values = asdict(self)
        return {JSON_NAMES.get(name, name): value for name, value in values.items()}

    def to_properties(self) -> dict[str, str]:
        """Return the collection properties that hold this manifest, in the present version."""
        values = {**self.to_dict(), "schema_version": SCHEMA_VERSION}
        return {
            PROPERTY: json.dumps(values, ensure_ascii=False),
            VERSION_PROPERTY: secrets.token_hex(8),
        }


def short_name(encoder: str) -> str:
    """Return the last part of an encoder's id."""
    return encoder.rstrip("/").rpartition("/")[2]


def read_manifest(properties: dict[str, Any], collection: str) -> Manifest:
    """Return the manifest in a collection's properties, whatever its schema version.

    Fields that this version of mm-milvus does not know are left out. Of another version, fields
    may be missing: they are empty, so that the dataset can be listed, dropped and rebuilt.

    Raises:
        StoreError: When there is none, or one that cannot be read.
    """
    text = properties.get(PROPERTY)
    if text is None:
        raise StoreError(
            f"collection {collection} was not made by mm-milvus: it has no manifest; "
            "choose another name (`dataset`)"
        )
    try:
        stored: dict[str, Any] = dict(json.loads(text))
        known = {
            each.name: stored[name]
            for each in fields(Manifest)
            if (name := JSON_NAMES.get(each.name, each.name)) in stored
        }
        if known.get("schema_version") == 1:
            known["promoted"] = list(known.get("columns", {}))
        required = {"dataset": "", "encoder": "", "encoder_fingerprint": "", "dim": 0}
        manifest = Manifest(**{**required, **known})
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"collection {collection} has a manifest that cannot be read: {error}"
        ) from error
    if not manifest.dataset or (manifest.is_readable and not required.keys() <= known.keys()):
        raise StoreError(
            f"collection {collection} has a manifest that cannot be read: a field is missing"
        )
    return manifest
