"""Every error that mm-milvus raises on purpose, by its cause.

Each message is one line that names the thing, the reason and the remedy, so that a caller can show
it unchanged. A parameter is named in backticks: `rebuild`.

    MmMilvusError
     ├─ UsageError           the call itself makes no sense
     │   ├─ OptionError      an option has a value that cannot be used
     │   └─ QueryError       the query is malformed: text, image, filter, dataset name
     ├─ SourceError          the dataset cannot be read as it was named: path, format, column
     ├─ ItemError            one item cannot be stored; a run rejects it and continues
     │   └─ ImageError       one image cannot be decoded
     ├─ EncoderError         a model cannot be loaded, or cannot encode
     ├─ StoreError           Milvus refused a call, cannot be reached, or holds something unexpected
     ├─ OutputError          a file or folder cannot be written
     └─ MissingExtraError    a feature needs a package that is not installed
"""

from __future__ import annotations


class MmMilvusError(Exception):
    """Base of the tree: catch it to catch everything that mm-milvus raises on purpose."""


class UsageError(MmMilvusError):
    """The call itself makes no sense: no dataset, model or store would change that."""


class OptionError(UsageError):
    """An option has a value that cannot be used."""


class QueryError(UsageError):
    """The query is malformed, or names a dataset that does not exist."""


class SourceError(MmMilvusError):
    """The dataset cannot be read as it was named."""


class ItemError(MmMilvusError):
    """One item cannot be stored; the message is the reason, without the item's name."""


class ImageError(ItemError):
    """One image cannot be decoded; the message is the reason, without the image's name."""


class EncoderError(MmMilvusError):
    """A model cannot be loaded, or does not encode images and texts into one space."""


class StoreError(MmMilvusError):
    """Milvus refused a call, cannot be reached, or holds something unexpected."""


class OutputError(MmMilvusError):
    """A file or folder cannot be written, or holds something that would be lost."""


class MissingExtraError(MmMilvusError):
    """A feature needs a package that comes with one of mm-milvus' extras."""


class CutTextWarning(UserWarning):
    """A text is longer than its encoder reads: only its beginning counts. Shown once."""
