"""Members of a tar shard to items: which members belong together, and what each of them is.

The key of a member is its name without the last suffix, so names may have dots: `22.05.png` and
`22.05.txt` are one item, `22.06.png` is another. WebDataset itself cuts at the first dot. Where the
two differ, adjacent members that agree up to the first dot are compared:

- A member without an image of its own key (`a.meta.json`) belongs to the image of the longest key
  that its key extends (`a.jpg`).
- A key without an image (`a.txt`) takes the only image whose key extends it (`a.seg.png`), unless
  that key has other members.
- An image whose key extends another one's (`a.seg.png` next to `a.jpg`) is an item, `a.seg`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mm_milvus.images.suffixes import IMAGE_SUFFIXES
from mm_milvus.sources.base import Draft, rejected_draft
from mm_milvus.sources.encodings import decode_text
from mm_milvus.sources.sidecar import parse_sidecar
from mm_milvus.sources.suffixes import SIDECAR_SUFFIXES
from mm_milvus.text import is_utf8

MAX_RUN_BYTES = 32 * 2**20
"""Bytes of adjacent members that are held together, to find out which belong together."""

MAX_FIELD_BYTES = 8 * 2**10
"""Largest member of an unknown suffix that becomes metadata."""

NO_IMAGE = "there is no image of this key in the shard"

_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})")


@dataclass(slots=True)
class Member:
    """A file of a shard.

    Attributes:
        name: Its path in the shard.
        data: Its content.
        fault: Why it cannot be read; None where it can.
    """

    name: str
    data: bytes = b""
    fault: str | None = None

    @property
    def key(self) -> str:
        """The path without the last suffix."""
        return split_name(self.name)[0]

    @property
    def suffix(self) -> str:
        """The last suffix, in lower case."""
        return split_name(self.name)[1].lower()


def split_name(name: str) -> tuple[str, str]:
    """Return the path of a member without its last suffix, and the suffix."""
    folder, base = posixpath.split(name.removeprefix("./"))
    stem, dot, suffix = base.rpartition(".")
    return (
        (posixpath.join(folder, stem), dot + suffix) if dot else (posixpath.join(folder, base), "")
    )


def group_of(name: str) -> str:
    """Return the path of a member up to the first dot in its last part: WebDataset's own key."""
    folder, base = posixpath.split(name.removeprefix("./"))
    return posixpath.join(folder, base.split(".", 1)[0])


@dataclass(slots=True)
class Run:
    """Adjacent members that agree up to the first dot, and become items together.

    Attributes:
        group: What the names of the members have in common.
        shard_uri: The shard, for the URIs of the items.
        samples: The members by their key.
        last_key: The key of the last member that was begun.
        size: Bytes that the members hold.
        encoding: Of captions, where they are neither UTF-8 nor UTF-16.
    """

    group: str
    shard_uri: str
    samples: dict[str, list[Member]] = field(default_factory=dict)
    last_key: str = ""
    size: int = 0
    encoding: str | None = None

    def add(self, member: Member) -> None:
        """Add a member, in the order of the shard."""
        self.samples.setdefault(member.key, []).append(member)
        self.size += len(member.data)

    def take_complete(self) -> Iterator[Draft]:
        """Return the items of all keys but those that the next member may belong to."""
        rest = {
            key: members
            for key, members in self.samples.items()
            if f"{self.last_key}.".startswith(f"{key}.") or key.startswith(f"{self.last_key}.")
        }
        done = {key: members for key, members in self.samples.items() if key not in rest}
        self.samples = rest
        self.size = sum(len(member.data) for members in rest.values() for member in members)
        return Run(self.group, self.shard_uri, done, encoding=self.encoding).drafts()

    def drafts(self) -> Iterator[Draft]:
        """Yield the items, and a reject for each member that is no part of one."""
        self._join()
        for key, members in self.samples.items():
            yield from self._drafts_of(key, members)

    def _join(self) -> None:
        """Give members without an image of their key to the key that has their image."""
        images = {key for key, members in self.samples.items() if any(map(is_image, members))}
        extensions: dict[str, list[str]] = {}
        for key in images:
            for prefix in _prefixes(key):
                extensions.setdefault(prefix, []).append(key)
        for key in sorted(self.samples.keys() - images, key=len):
            owner = next((prefix for prefix in _prefixes(key) if prefix in images), None)
            longer = extensions.get(key, [])
            only = longer[0] if len(longer) == 1 else None
            if owner is not None:
                self.samples[owner] += self.samples.pop(key)
            elif only in images and all(map(is_image, self.samples[only])):
                self.samples[key] += self.samples.pop(only)
                images ^= {key, only}

    def _drafts_of(self, key: str, members: list[Member]) -> Iterator[Draft]:
        images = [member for member in members if is_image(member)]
        if not is_utf8(key):
            yield rejected_draft(
                key, self._uri(members[0]), "the name in the tar is not valid UTF-8"
            )
            return
        if not images:
            fault = next((member.fault for member in members if member.fault), None)
            yield rejected_draft(key, self._uri(members[0]), fault or NO_IMAGE)
            return
        image, *others = images
        draft = Draft(key, self._uri(image), image=image.data, rejected=image.fault)
        yield from self._describe(draft, members)
        yield draft
        for other in others:
            reason = f"{other.name} is a further image of the key {key}: {image.name} is kept"
            yield rejected_draft(other.name, self._uri(other), other.fault or reason)

    def _describe(self, draft: Draft, members: list[Member]) -> Iterator[Draft]:
        """Add captions and metadata to an item; yield a reject for each member of neither kind."""
        fields = []
        for member in members:
            if member.suffix in SIDECAR_SUFFIXES:
                try:
                    if member.fault is not None:
                        raise ValueError(member.fault)
                    sidecar = parse_sidecar(member.name, member.data, self.encoding)
                except ValueError as error:
                    draft.rejected = draft.rejected or str(error)
                    continue
                draft.captions += sidecar.captions
                draft.metadata |= sidecar.metadata
            elif not is_image(member):
                fields.append(member)
        for member in fields:
            value = None if member.fault else _field_value(member.data, self.encoding)
            if value is None:
                reason = f"{member.name} is neither an image, captions, JSON nor a short text"
                yield rejected_draft(member.name, self._uri(member), member.fault or reason)
                continue
            name = member.name.removeprefix("./").removeprefix(draft.item_id).removeprefix(".")
            # The suffix of a member is not to hide what the JSON says.
            taken = name in draft.metadata and draft.metadata[name] != value
            draft.metadata[f".{name}" if taken else name] = value

    def _uri(self, member: Member) -> str:
        return f"{self.shard_uri}#{member.name}"


def is_image(member: Member) -> bool:
    """Return whether a member has the suffix of an image."""
    return member.suffix in IMAGE_SUFFIXES


def _prefixes(key: str) -> Iterator[str]:
    """Yield the keys that a key extends by a dot, the longest first."""
    folder, base = posixpath.split(key)
    while "." in base:
        base = base.rpartition(".")[0]
        yield posixpath.join(folder, base)


def _field_value(data: bytes, encoding: str | None) -> str | int | None:
    """Return the integer or text of a member such as `a.cls`; None for other bytes."""
    try:
        text = decode_text(data, encoding).removeprefix("\ufeff").strip()
    except UnicodeDecodeError:
        return None
    if len(data) > MAX_FIELD_BYTES or "\0" in text:
        return None
    return int(text) if _INTEGER.fullmatch(text) else text
