"""WebDataset: tar shards, read as streams; adjacent files of one key are one item.

`samples` has the rules by which files belong to a key.
"""

from __future__ import annotations

import glob
import posixpath
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import IO, Any, Self

import pyarrow as pa

from mm_milvus.errors import SourceError
from mm_milvus.files import MAX_FILE_BYTES, Place, locate, read_failure
from mm_milvus.remote import FetchOptions
from mm_milvus.sources.base import Draft, SeenIds, rejected_draft, to_batches
from mm_milvus.sources.samples import (
    MAX_FIELD_BYTES,
    MAX_RUN_BYTES,
    NO_IMAGE,
    Member,
    Run,
    group_of,
    is_image,
    split_name,
)
from mm_milvus.sources.suffixes import SHARD_SUFFIXES, SIDECAR_SUFFIXES, ZSTD_SHARD_SUFFIXES
from mm_milvus.text import one_line

MAX_SHARDS = 100_000

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def is_pattern(text: str) -> bool:
    """Return whether a path names several shards: `{0000..0009}`, `*`, `?` or `[0-9]`."""
    return _RANGE.search(text) is not None or glob.has_magic(text)


class _StrictTarInfo(tarfile.TarInfo):
    """A tar header that raises an error when it is cut short; tarfile takes it for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """Return the next header of the archive."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"the archive breaks off: {one_line(error)}") from error


@dataclass(frozen=True, slots=True)
class WebDatasetSource:
    """The items of tar shards.

    Attributes:
        name: The part that the names of the shards have in common.
        shards: The shards, in the order in which they are read.
        shard_ids: Whether ids begin with the name of the shard.
        encoding: Of captions, where they are neither UTF-8 nor UTF-16.
    """

    name: str
    shards: tuple[Place, ...]
    shard_ids: bool = False
    encoding: str | None = None

    @property
    def size(self) -> int | None:
        """None: it is unknown without reading."""
        return None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the items in the order of the shards."""
        return to_batches(self.drafts(), self.shards[0].fetch.concurrency)

    def drafts(self) -> Iterator[Draft]:
        """Yield the items."""
        ids = SeenIds()
        names = _names_of(self.shards)
        for number, shard in enumerate(self.shards):
            ids_in_shard = SeenIds()
            for draft in _shard_drafts(shard, self.encoding):
                if draft.rejected == NO_IMAGE and draft.item_id in ids_in_shard:
                    draft.rejected = (
                        f"the image of the key {draft.item_id} in {shard.name} is not next to "
                        f"{draft.uri.removeprefix(shard.uri + '#')}: sort the files by their names"
                    )
                if draft.rejected is None:
                    repeats = draft.item_id in ids_in_shard
                    ids_in_shard.record(draft.item_id, number)
                    if self.shard_ids:
                        prefix = without_shard_suffix(names[number])
                        draft.item_id = f"{prefix}/{draft.item_id}"
                    first = ids.record(draft.item_id, number)
                    if first != number:
                        reason = (
                            f"the key {draft.item_id} in {names[number]} repeats the one in "
                            f"{names[first]}: the first is kept; `shard_ids` keeps both"
                        )
                        draft = rejected_draft(draft.item_id, draft.uri, reason)
                    elif repeats:
                        reason = (
                            f"the key {draft.item_id} in {names[number]} repeats an earlier one: "
                            "the first is kept"
                        )
                        draft = rejected_draft(draft.item_id, draft.uri, reason)
                yield draft


def _names_of(shards: tuple[Place, ...]) -> list[str]:
    """Return the names of shards; paths, where two have the same name but for suffixes."""
    names = [shard.name for shard in shards]
    if len(set(map(without_shard_suffix, names))) == len(names):
        return names
    common = posixpath.commonpath([shard.parent.path for shard in shards])
    folders = [posixpath.relpath(shard.parent.path, common) for shard in shards]
    return [
        posixpath.normpath(posixpath.join(*parts)) for parts in zip(folders, names, strict=True)
    ]


def _shard_drafts(shard: Place, encoding: str | None) -> Iterator[Draft]:
    run: Run | None = None
    try:
        with (
            shard.open() as stream,
            tarfile.open(
                mode="r|*", fileobj=_decompressed(stream, shard.name), tarinfo=_StrictTarInfo
            ) as tar,
        ):
            for member in _members(tar):
                group = group_of(member.name)
                if run is None or run.group != group:
                    if run is not None:
                        yield from run.drafts()
                    run = Run(group, shard.uri, encoding=encoding)
                run.last_key = split_name(member.name)[0]
                if run.size > MAX_RUN_BYTES:
                    yield from run.take_complete()
                run.add(_read_member(tar, member))
    except Exception as error:  # each compression and filesystem has errors of its own
        reason = f"the shard {shard.name} cannot be read further: {read_failure(error)}; "
        reason += "the rest of it is lost"
        if run is not None:
            run.samples.pop(run.last_key, None)
            yield from run.drafts()
            cut = f"the shard {shard.name} ends within this item"
            yield rejected_draft(run.last_key, f"{shard.uri}#{run.last_key}", cut)
        yield rejected_draft(shard.name, shard.uri, reason)
        return
    if run is not None:
        yield from run.drafts()


def _decompressed(stream: IO[bytes], name: str) -> Any:
    """Return the stream of a tar; `tarfile` itself reads all compressions but Zstandard."""
    if not name.lower().endswith(ZSTD_SHARD_SUFFIXES):
        return stream
    return pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield all members but folders and hidden files."""
    while (member := tar.next()) is not None:
        # tarfile keeps every header, which takes memory and is of no use for a stream.
        tar.members.clear()  # type: ignore[attr-defined]
        if not member.isdir() and not posixpath.basename(member.name).startswith("."):
            yield member


def _read_member(tar: tarfile.TarFile, header: tarfile.TarInfo) -> Member:
    member = Member(header.name)
    is_field = not is_image(member) and member.suffix not in SIDECAR_SUFFIXES
    if header.islnk() or header.issym():
        member.fault = (
            f"{header.name} is a link to {header.linkname}, which is not followed in a shard: "
            "write the tar with the files themselves"
        )
    elif not header.isfile():
        member.fault = f"{header.name} is not a regular file"
    elif header.size > MAX_FILE_BYTES:
        member.fault = f"{header.name} is larger than {MAX_FILE_BYTES // 2**20} MiB"
    elif is_field and header.size > MAX_FIELD_BYTES:
        member.fault = f"{header.name} is neither an image, captions, JSON nor a short text"
    else:
        stream = tar.extractfile(header)
        member.data = stream.read() if stream is not None else b""
        if len(member.data) < header.size:
            raise tarfile.ReadError("unexpected end of data")
    return member


def open_shards(
    text: str, fetch: FetchOptions, *, shard_ids: bool = False, encoding: str | None = None
) -> WebDatasetSource:
    """Open shards as a source.

    Args:
        text: A path, a URI or a pattern, such as `data-{0000..0009}.tar` or `data-*.tar`.
        fetch: How files are read over HTTP.
        shard_ids: Whether ids begin with the name of the shard.
        encoding: Of captions, where they are neither UTF-8 nor UTF-16.

    Raises:
        SourceError: When a shard is missing, or the pattern matches none.
    """
    shards: list[Place] = []
    for path in _expand(text):
        shards += _match(path, fetch) if glob.has_magic(path) else [locate(path, fetch)]
    for shard in shards:
        if not shard.is_file():
            raise SourceError(f"the shard {shard.uri} is missing: correct the path or the range")
        if not shard.name.lower().endswith(SHARD_SUFFIXES):
            raise SourceError(
                f"{shard.uri} is no tar shard: the suffixes are {' '.join(SHARD_SUFFIXES)}"
            )
    return WebDatasetSource(shard_name(text), tuple(shards), shard_ids, encoding)


def _expand(text: str) -> list[str]:
    """Return all paths of a pattern with number ranges, with numbers as wide as the first one."""
    parts = _RANGE.split(text)
    ranges = [
        [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]
        for first, last in zip(parts[1::3], parts[2::3], strict=True)
        if int(last) - int(first) < MAX_SHARDS
    ]
    choices = list(islice(product(*ranges), MAX_SHARDS + 1))
    if len(ranges) < len(parts) // 3 or len(choices) > MAX_SHARDS:
        raise SourceError(f"{text} names more than {MAX_SHARDS} shards: give a smaller range")
    if not choices:
        raise SourceError(f"{text} names no shard: the range ends before it starts")
    return [
        "".join(fixed + number for fixed, number in zip(parts[::3], (*choice, ""), strict=True))
        for choice in choices
    ]


def _match(pattern: str, fetch: FetchOptions) -> list[Place]:
    base = locate(pattern, fetch)
    # The pattern is absolute.
    paths = glob.glob(base.path) if base.fs is None else base.fs.glob(base.path)  # noqa: PTH207
    places = [replace(base, path=path) for path in sorted(paths)]
    if not places:
        raise SourceError(f"no file matches {pattern}: correct the pattern")
    return places


def shard_name(text: str, *, is_file: bool = False) -> str:
    """Return the fixed part of the name: `data` for `data-{0000..0009}.tar`.

    Args:
        text: A path or a pattern.
        is_file: Whether it is the name of one shard, with no signs of a pattern.
    """
    base = without_shard_suffix(posixpath.basename(text))
    return base if is_file else re.split(r"[{*?\[]", base)[0].rstrip("-_. ") or "shards"


def without_shard_suffix(path: str) -> str:
    """Return the path of a shard without the suffixes of its format."""
    ends = (end for end in SHARD_SUFFIXES if path.lower().endswith(end))
    return path[: len(path) - len(max(ends, key=len, default=""))]
