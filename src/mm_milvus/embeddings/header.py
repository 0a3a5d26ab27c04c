"""The encoder of a Parquet file's vectors: JSON in the metadata of its schema."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa

from mm_milvus.encoders.base import EncoderIdentity
from mm_milvus.schema import embeddings_schema

KEY = b"mm_milvus"
"""The key of the schema's metadata that holds the header."""

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Header:
    """What a file of embeddings states about itself.

    Attributes:
        encoder: What made its vectors.
        source: The name of the dataset that was encoded.
        document: Weights of the fields of a combined vector; None: the image alone.
    """

    encoder: EncoderIdentity
    source: str
    document: dict[str, float] | None = None

    def schema(self) -> pa.Schema:
        """Return the schema of the file, with this header in its metadata."""
        text = json.dumps(
            {
                "schema_version": SCHEMA_VERSION,
                "source": self.source,
                "encoder": self.encoder.id,
                "encoder_fingerprint": self.encoder.fingerprint,
                "dim": self.encoder.dim,
                "document": self.document,
            },
            ensure_ascii=False,
        )
        return embeddings_schema(self.encoder.dim).with_metadata({KEY: text.encode()})


def read_header(schema: pa.Schema) -> Header:
    """Return the header in a file's schema. Raises ValueError, with the reason, without one."""
    text = (schema.metadata or {}).get(KEY)
    if text is None:
        raise ValueError("it was not written by `encode`: its schema names no encoder")
    try:
        fields = dict(json.loads(text))
        version = fields["schema_version"]
        encoder = EncoderIdentity(
            str(fields["encoder"]), str(fields["encoder_fingerprint"]), int(fields["dim"])
        )
        header = Header(encoder, str(fields["source"]), fields.get("document"))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"its header cannot be read ({type(error).__name__}: {error})") from error
    if version != SCHEMA_VERSION:
        raise ValueError(f"it has schema version {version}, not {SCHEMA_VERSION}")
    return header
