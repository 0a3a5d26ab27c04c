"""The bundled encoder: small, offline, without a GPU; see docs/compact.md."""

from mm_milvus.encoders.compact.encoder import load_compact

__all__ = ["load_compact"]
