"""WebDataset: tar shards, read as streams; adjacent files of one key are one item."""

from __future__ import annotations

import glob
import posixpath
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Self

import pyarrow as pa

from mm_milvus.errors import SourceError
from mm_milvus.files import MAX_FILE_BYTES, Place, locate, read_failure
from mm_milvus.remote import FetchOptions
from mm_milvus.sources.base import Draft, SeenIds, rejected_draft, to_batches
from mm_milvus.sources.sidecar import parse_sidecar
from mm_milvus.sources.suffixes import SHARD_IMAGE_SUFFIXES, SHARD_SUFFIXES, SIDECAR_SUFFIXES
from mm_milvus.text import is_utf8, one_line

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


@dataclass(slots=True)
class _Sample:
    """The files of one key, added in the order of the shard."""

    key: str
    uri: str
    image: bytes | None = None
    sidecars: dict[str, bytes] = field(default_factory=dict)
    fault: str | None = None

    def add(self, tar: tarfile.TarFile, member: tarfile.TarInfo, shard: Place) -> None:
        """Read a file of the key: its first image, or a sidecar; others are skipped."""
        suffix = posixpath.splitext(member.name)[1].lower()
        is_image = suffix in SHARD_IMAGE_SUFFIXES and self.image is None
        if not is_image and suffix not in SIDECAR_SUFFIXES:
            return
        if member.size > MAX_FILE_BYTES:
            self.fault = f"{member.name} is larger than {MAX_FILE_BYTES // 2**20} MiB"
            return
        stream = tar.extractfile(member)
        data = stream.read() if stream is not None else b""
        if len(data) < member.size:
            raise tarfile.ReadError("unexpected end of data")
        if is_image:
            self.image, self.uri = data, f"{shard.uri}#{member.name}"
        else:
            self.sidecars[member.name] = data

    def draft(self) -> Draft:
        """Return the item of the key."""
        if not is_utf8(self.key):
            return rejected_draft(self.key, self.uri, "the name in the tar is not valid UTF-8")
        if self.fault is not None:
            return rejected_draft(self.key, self.uri, self.fault)
        if self.image is None:
            return rejected_draft(self.key, self.uri, "there is no image of this key in the shard")
        draft = Draft(self.key, self.uri, image=self.image)
        try:
            for name, data in self.sidecars.items():
                sidecar = parse_sidecar(name, data)
                draft.captions += sidecar.captions
                draft.metadata |= sidecar.metadata
        except ValueError as error:
            return rejected_draft(self.key, self.uri, str(error))
        return draft


@dataclass(frozen=True, slots=True)
class WebDatasetSource:
    """The items of tar shards.

    Attributes:
        name: The part that the names of the shards have in common.
        shards: The shards, in the order in which they are read.
    """

    name: str
    shards: tuple[Place, ...]

    @property
    def size(self) -> int | None:
        """None: it is unknown without reading."""
        return None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the items in the order of the shards."""
        return to_batches(self._drafts(), self.shards[0].fetch.concurrency)

    def _drafts(self) -> Iterator[Draft]:
        ids = SeenIds()
        for number, shard in enumerate(self.shards):
            ids_in_shard = SeenIds()
            for draft in _shard_drafts(shard):
                if draft.rejected is None:
                    first = ids.record(draft.item_id, number)
                    if first != number or draft.item_id in ids_in_shard:
                        draft = self._repeated(draft, shard, self.shards[first])
                    ids_in_shard.record(draft.item_id, number)
                yield draft

    def _repeated(self, draft: Draft, shard: Place, first: Place) -> Draft:
        where = f"the one in {first.name}" if first != shard else "an earlier one"
        reason = f"the key {draft.item_id} in {shard.name} repeats {where}: the first is kept"
        return rejected_draft(draft.item_id, draft.uri, reason)


def _shard_drafts(shard: Place) -> Iterator[Draft]:
    sample: _Sample | None = None
    try:
        with (
            shard.open() as stream,
            tarfile.open(mode="r|*", fileobj=stream, tarinfo=_StrictTarInfo) as tar,
        ):
            for member in _members(tar):
                key = _key(member.name)
                if sample is None or sample.key != key:
                    if sample is not None:
                        yield sample.draft()
                    sample = _Sample(key, f"{shard.uri}#{member.name}")
                sample.add(tar, member, shard)
    except Exception as error:  # each compression and filesystem has errors of its own
        reason = f"the shard {shard.name} cannot be read further: {read_failure(error)}; "
        reason += "the rest of it is lost"
        if sample is not None:
            yield rejected_draft(
                sample.key, sample.uri, f"the shard {shard.name} ends within this item"
            )
        yield rejected_draft(shard.name, shard.uri, reason)
        return
    if sample is not None:
        yield sample.draft()


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := tar.next()) is not None:
        # tarfile keeps every header, which takes memory and is of no use for a stream.
        tar.members.clear()  # type: ignore[attr-defined]
        if member.isfile() and not posixpath.basename(member.name).startswith("."):
            yield member


def _key(name: str) -> str:
    """Return the path of a file up to the first dot in its last part."""
    folder, base = posixpath.split(name.removeprefix("./"))
    return posixpath.join(folder, base.split(".", 1)[0])


def open_shards(text: str, fetch: FetchOptions) -> WebDatasetSource:
    """Open shards as a source.

    Args:
        text: A path, a URI or a pattern, such as `data-{0000..0009}.tar` or `data-*.tar`.
        fetch: How files are read over HTTP.

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
            raise SourceError(f"{shard.uri} is no tar shard: the suffixes are .tar, .tar.gz, .tgz")
    return WebDatasetSource(shard_name(text), tuple(shards))


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


def shard_name(text: str) -> str:
    """Return the fixed part of the name: `data` for `data-{0000..0009}.tar`."""
    base = posixpath.basename(text)
    for suffix in SHARD_SUFFIXES:
        base = base[: -len(suffix)] if base.lower().endswith(suffix) else base
    return re.split(r"[{*?\[]", base)[0].rstrip("-_. ") or "shards"
