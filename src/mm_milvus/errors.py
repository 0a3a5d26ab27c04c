"""Every error that mm-milvus raises on purpose.

Each message is one line that names the thing, the reason and the remedy, so that a caller can
show it as it stands.

    MmMilvusError
     ├─ SourceError    the data set cannot be read as it was named: path, format, column
     ├─ ImageError     one image cannot become pixels
     ├─ EncoderError   a model cannot be had, or is not one that we can encode with
     ├─ StoreError     Milvus refused, is away, or holds something else than expected; so for the
     │                 folder that embeddings are written to
     └─ QueryError     the question is malformed: text, image, filter, top_k, data set name
"""

from __future__ import annotations


class MmMilvusError(Exception):
    """The base of the tree: catch this to catch all that mm-milvus raises on purpose."""


class SourceError(MmMilvusError):
    """The data set cannot be read as it was named."""


class ImageError(MmMilvusError):
    """One image cannot become pixels; the message is the reason, without the image's name."""


class EncoderError(MmMilvusError):
    """A model cannot be had, or does not encode images and texts into one space."""


class StoreError(MmMilvusError):
    """Milvus refused a call, cannot be reached, or holds something else than expected."""


class QueryError(MmMilvusError):
    """The question itself is malformed."""
