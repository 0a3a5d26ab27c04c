"""Open a dataset by its path or URI: a folder, a table, tar shards or one image."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TypeVar

from mm_milvus.errors import SourceError
from mm_milvus.files import Place, locate, read_failure
from mm_milvus.images.suffixes import has_image_suffix
from mm_milvus.remote import without_secrets
from mm_milvus.sources.base import Source
from mm_milvus.sources.folder import ImageSource, open_folder, why_empty
from mm_milvus.sources.opened import OpenedSource
from mm_milvus.sources.options import SourceOptions
from mm_milvus.sources.parts import PartsSource, is_saved_dataset, open_parts, open_saved_dataset
from mm_milvus.sources.records import without_compression
from mm_milvus.sources.suffixes import SHARD_SUFFIXES, TABLE_SUFFIXES
from mm_milvus.sources.table import TableSource, is_table, open_table_source
from mm_milvus.sources.webdataset import WebDatasetSource, is_pattern, open_shards, shard_name
from mm_milvus.text import one_line, printable

T = TypeVar("T")

_DEFAULTS = SourceOptions()


def as_source(
    source: str | os.PathLike[str] | T, options: SourceOptions | None = None
) -> Source | T:
    """Open a path or URI with `open_source`; return any other object unchanged."""
    if isinstance(source, str | os.PathLike):
        return open_source(source, options or _DEFAULTS)
    return source


def open_source(path: str | os.PathLike[str], options: SourceOptions = _DEFAULTS) -> Source:
    """Open a dataset without reading its images.

    Args:
        path: The local path or fsspec URI of a folder (of images, of tar shards, of parts of a
            table, or as Hugging Face's `save_to_disk` writes it), of a table (.csv .tsv .txt
            .jsonl .json .parquet .arrow, text also compressed as .gz .zst .bz2, or any file with
            a `delimiter`), of a tar shard or a pattern of shards, such as
            `data-{0000..0009}.tar` and `data-*.tar`, or of an image.
        options: How to read it.

    Returns:
        A source, which `ingest`, `encode`, `verify` and others take.

    Raises:
        SourceError: When the path does not exist, is of no known kind, or has no images; when the
            options do not fit it, or name a column that it does not have.
    """
    text = os.fspath(path)
    try:
        source = _open(text, options)
    except SourceError as error:
        raise SourceError(without_secrets(printable(one_line(error)))) from error.__cause__
    except Exception as error:  # each filesystem has errors of its own
        message = f"{text} cannot be opened: {read_failure(error)}; check the path"
        raise SourceError(without_secrets(printable(one_line(message)))) from error
    roles = source.roles if isinstance(source, TableSource | PartsSource) else None
    item_ids = roles.item_id if roles is not None else None
    return OpenedSource(source, replace(options, id_column=item_ids or ""))


def dataset_name(path: str | os.PathLike[str]) -> str:
    """Return the name of the dataset at a path, as the `name` of its source, without opening it.

    Raises:
        SourceError: When the filesystem of the path is unknown.
    """
    text = os.fspath(path)
    place = locate(text)
    if is_pattern(text) or place.name.lower().endswith(SHARD_SUFFIXES):
        return shard_name(text if is_pattern(text) else place.name)
    name = without_compression(place.name)
    suffix = PurePosixPath(name).suffix
    is_file = suffix.lower() in TABLE_SUFFIXES or has_image_suffix(name) or not place.is_dir()
    return PurePosixPath(name).stem if is_file else place.name


def _open(text: str, options: SourceOptions) -> Source:
    place = locate(text, options.fetch)
    if place.is_dir():
        return _open_folder(place, options)
    if options.caption_from_folder is not None:
        raise SourceError(f"{place.uri} is not a folder: leave out `caption_from_folder`")
    if not place.is_file():
        if is_pattern(text):
            return open_shards(
                text, options.fetch, shard_ids=options.shard_ids, encoding=options.encoding
            )
        raise SourceError(f"{place.uri} does not exist: check the path")
    if place.name.lower().endswith(SHARD_SUFFIXES):
        return WebDatasetSource(
            shard_name(place.name), (place,), options.shard_ids, options.encoding
        )
    if has_image_suffix(place.name):
        return ImageSource(place, encoding=options.encoding)
    if options.delimiter or is_table(place.name):
        return open_table_source(place, options)
    raise SourceError(
        f"{place.uri} is of no known kind: give a folder of images, an image, a table "
        f"({' '.join(TABLE_SUFFIXES)}) or a tar shard ({' '.join(SHARD_SUFFIXES)})"
    )


def _open_folder(place: Place, options: SourceOptions) -> Source:
    template = options.caption_from_folder
    if template is not None and "{}" not in template:
        raise SourceError(
            f"the caption {template!r} has no {{}} for the folder's name: "
            "write it as 'a photo of a {}'"
        )
    if template is None and is_saved_dataset(place):
        return open_saved_dataset(place, options)
    images = open_folder(place, options)
    if images is not None:
        if options.id_column:
            raise SourceError(f"{place.uri} has images, whose ids are paths: leave out `id_column`")
        return images
    if template is None and (parts := open_parts(place, options)):
        return parts
    raise SourceError(why_empty(place))
