"""Options of every source."""

from __future__ import annotations

from dataclasses import dataclass

from mm_milvus.images.options import DecodeOptions
from mm_milvus.remote import FetchOptions
from mm_milvus.sources.encodings import check_encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How to read a dataset.

    Attributes:
        image_column: Column of a table that has the image (default: the first usual name, such as
            `image` or `file_name`).
        caption_columns: Columns of a table that have captions, as text or lists of text, or
            patterns of several with `*`, such as `caption_*` (default: the first usual name, and
            those of that name with a number, such as `caption_0`).
        id_column: Column of a table that has the item id (default: `item_id` or `id`, else the
            image's path; an empty text: the image's path).
        delimiter: One character between the columns of a CSV file (default: a comma, and a tab for
            `.tsv`).
        no_quoting: Read quotes in a CSV file as part of its texts; each line is a row.
        image_root: The folder that the paths in a table are relative to (default: that of the
            table): relative to the table's folder, or else to the current one.
        encoding: Encoding of tables and of captions in text files, such as latin-1, cp1252,
            shift_jis or gbk (default: UTF-8, or UTF-16 where it is recognised).
        caption_from_folder: A caption for each image of a folder, "a photo of a {}", filled with
            the name of the folder that the image is in.
        allow_outside: Also read the images of a table that are outside its folder.
        shard_ids: Begin the ids of items in tar shards with the name of the shard, where shards
            repeat keys.
        connect_timeout: Seconds until a web server must accept a connection.
        timeout: Seconds that a web server may send nothing.
        retries: How often a request is repeated after a reset connection, or an answer of 429 or
            5xx; with growing waits, or after the time that the server names.
        fetch_concurrency: Remote images that are read in parallel.
        stretch_16bit: Treat a 16-bit picture whose values all fit into 10, 12 or 14 bits as one of
            that depth, as cameras and scanners write them.
        lenient: Accept JPEG files that lack their end marker or their last few bytes.
    """

    image_column: str | None = None
    caption_columns: tuple[str, ...] = ()
    id_column: str | None = None
    delimiter: str | None = None
    no_quoting: bool = False
    image_root: str | None = None
    encoding: str | None = None
    caption_from_folder: str | None = None
    allow_outside: bool = False
    shard_ids: bool = False
    connect_timeout: float = 10.0
    timeout: float = 30.0
    retries: int = 3
    fetch_concurrency: int = 16
    stretch_16bit: bool = False
    lenient: bool = False

    def __post_init__(self) -> None:
        """Check the values; raise OptionError."""
        _ = self.fetch
        if self.encoding is not None:
            check_encoding(self.encoding)

    @property
    def decoding(self) -> DecodeOptions:
        """How images are decoded."""
        return DecodeOptions(stretch_16bit=self.stretch_16bit, lenient=self.lenient)

    @property
    def fetch(self) -> FetchOptions:
        """How files are read over HTTP."""
        return FetchOptions(
            connect_timeout=self.connect_timeout,
            timeout=self.timeout,
            retries=self.retries,
            concurrency=self.fetch_concurrency,
        )
