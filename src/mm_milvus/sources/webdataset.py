"""WebDataset: tar shards, read as streams; the files of one key, in a row, are one item."""

from __future__ import annotations

import glob
import posixpath
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Self

import pyarrow as pa

from mm_milvus.errors import SourceError
from mm_milvus.files import MAX_FILE_BYTES, Place, locate, read_failure
from mm_milvus.sources.base import Draft, Ids, reject, to_batches
from mm_milvus.sources.sidecar import SUFFIXES as SIDECAR_SUFFIXES
from mm_milvus.sources.sidecar import parse_sidecar
from mm_milvus.text import is_utf8, one_line

SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MAX_SHARDS = 100_000

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def is_pattern(text: str) -> bool:
    """Whether a path names several shards: `{0000..0009}`, `*`, `?` or `[0-9]`."""
    return _RANGE.search(text) is not None or glob.has_magic(text)


class _StrictTarInfo(tarfile.TarInfo):
    """A header; one that is cut short is an error, where tarfile takes it for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """The next header of the archive."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"the archive breaks off: {one_line(error)}") from error


@dataclass(slots=True)
class _Sample:
    """The files of one key, as they come."""

    key: str
    uri: str
    image: bytes | None = None
    sidecars: dict[str, bytes] = field(default_factory=dict)
    fault: str | None = None

    def add(self, tar: tarfile.TarFile, member: tarfile.TarInfo, shard: Place) -> None:
        suffix = posixpath.splitext(member.name)[1].lower()
        is_image = suffix in IMAGE_SUFFIXES and self.image is None
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
        if not is_utf8(self.key):
            return reject(self.key, self.uri, "the name in the tar is not valid UTF-8")
        if self.fault is not None:
            return reject(self.key, self.uri, self.fault)
        if self.image is None:
            return reject(self.key, self.uri, "there is no image of this key in the shard")
        draft = Draft(self.key, self.uri, image=self.image)
        try:
            for name, data in self.sidecars.items():
                said = parse_sidecar(name, data)
                draft.captions += said.captions
                draft.metadata |= said.metadata
        except ValueError as error:
            return reject(self.key, self.uri, str(error))
        return draft


@dataclass(frozen=True, slots=True)
class WebDatasetSource:
    """Tar shards, in the order of their names."""

    name: str
    shards: tuple[Place, ...]

    @property
    def size(self) -> int | None:
        """Not known without reading."""
        return None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The items, in the order of the shards; files that belong to no image are left out."""
        return to_batches(self._drafts())

    def _drafts(self) -> Iterator[Draft]:
        ids = Ids()
        for number, shard in enumerate(self.shards):
            own = Ids()
            for draft in _shard_drafts(shard):
                if draft.rejected is None:
                    first = ids.first(draft.item_id, number)
                    if first != number or draft.item_id in own:
                        draft = self._repeated(draft, shard, self.shards[first])
                    own.first(draft.item_id, number)
                yield draft

    def _repeated(self, draft: Draft, shard: Place, first: Place) -> Draft:
        where = f"the one in {first.name}" if first != shard else "an earlier one"
        why = f"the key {draft.item_id} in {shard.name} repeats {where}: the first is kept"
        return reject(draft.item_id, draft.uri, why)


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
        why = f"the shard {shard.name} cannot be read further: {read_failure(error)}; "
        why += "the rest of it is lost"
        if sample is not None:
            yield reject(sample.key, sample.uri, f"the shard {shard.name} ends within this item")
        yield reject(shard.name, shard.uri, why)
        return
    if sample is not None:
        yield sample.draft()


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := tar.next()) is not None:
        # tarfile keeps every header, which a stream has no use for.
        tar.members.clear()  # type: ignore[attr-defined]
        if member.isfile() and not posixpath.basename(member.name).startswith("."):
            yield member


def _key(name: str) -> str:
    """The path up to the first dot of its last part."""
    folder, base = posixpath.split(name.removeprefix("./"))
    return posixpath.join(folder, base.split(".", 1)[0])


def open_shards(text: str) -> WebDatasetSource:
    """Open shards by a path, a URI or a pattern. Raises `SourceError` when one is missing."""
    shards: list[Place] = []
    for path in _expand(text):
        shards += _match(path) if glob.has_magic(path) else [locate(path)]
    for shard in shards:
        if not shard.is_file():
            raise SourceError(f"the shard {shard.uri} is missing: correct the path or the range")
        if not shard.name.lower().endswith(SHARD_SUFFIXES):
            raise SourceError(f"{shard.uri} is no tar shard: the suffixes are .tar, .tar.gz, .tgz")
    return WebDatasetSource(shard_name(text), tuple(shards))


def _expand(text: str) -> list[str]:
    """All the paths of a pattern with number ranges, each padded as its start is."""
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


def _match(pattern: str) -> list[Place]:
    base = locate(pattern)
    if base.fs is None:
        found = sorted(glob.glob(base.path))  # noqa: PTH207 (the pattern is absolute)
        places = [Place(path) for path in found]
    else:
        places = [Place(path, base.fs) for path in sorted(base.fs.glob(base.path))]
    if not places:
        raise SourceError(f"no file matches {pattern}: correct the pattern")
    return places


def shard_name(text: str) -> str:
    """The fixed part of the name: `data` for `data-{0000..0009}.tar`."""
    base = posixpath.basename(text)
    for suffix in SHARD_SUFFIXES:
        base = base[: -len(suffix)] if base.lower().endswith(suffix) else base
    return re.split(r"[{*?\[]", base)[0].rstrip("-_. ") or "shards"
