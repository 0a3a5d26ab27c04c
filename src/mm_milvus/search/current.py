"""The dataset of an open client at this moment: what was kept of it ends when it changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mm_milvus.encoders.base import Encoder
from mm_milvus.search.space import QueryEncoder, Space
from mm_milvus.search.where import Where
from mm_milvus.store.dataset import Dataset

CHECK_S = 0.1
"""A search may know a dataset as it was this long ago."""

CHECK_SHARE = 20
"""And this many times as long as it took to read what is kept: at most a twentieth of a client's
time goes into it, while an ingest changes the dataset all the time."""


@dataclass(frozen=True, slots=True)
class Version:
    """What differs after each change of a dataset.

    Attributes:
        written: Per encoder, the writing of its manifest.
        rows: Per encoder and modality, the number of rows.
    """

    written: tuple[tuple[str, ...], ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A dataset at one moment, and what is kept of it.

    Attributes:
        spaces: Its vector spaces, one per encoder, with samples of their rows.
        where: Its filters, with a sample of its metadata.
        version: Differs after each change of the dataset; None before the first read.
    """

    spaces: list[Space]
    where: Where
    version: Version | None


class CurrentDataset:
    """The present snapshot of a dataset. Safe to share between threads."""

    def __init__(self, indexes: Sequence[Dataset], encoder: Encoder | None) -> None:
        """Take a dataset, as one or several encoders indexed it.

        Raises:
            StoreError: When the encoder is not the one that the dataset was built with.
        """
        self._reading = threading.Lock()
        spaces = [Space(index, QueryEncoder(index.manifest, encoder)) for index in indexes]
        self.last = Snapshot(spaces, Where(*indexes), None)
        self._next_check = 0.0

    def snapshot(self) -> Snapshot:
        """Return a snapshot that is hardly older than `CHECK_S`, or `CHECK_SHARE` times its cost.

        Raises:
            StoreError: As `reread` does.
        """
        if time.monotonic() < self._next_check:
            return self.last
        if not self.last.version:
            return self.reread()
        # One thread reads, and the others use what they have.
        if self._reading.acquire(blocking=False):
            try:
                self._read()
            finally:
                self._reading.release()
        return self.last

    def reread(self) -> Snapshot:
        """Return the present snapshot: the last one, if the dataset has not changed.

        Raises:
            StoreError: When the dataset no longer exists, or was built again with another encoder
                than the one that the client was given.
        """
        with self._reading:
            self._read()
            return self.last

    def _read(self) -> None:
        started = time.monotonic()
        self.last = _next(self.last)
        now = time.monotonic()
        self._next_check = now + max(CHECK_S, CHECK_SHARE * (now - started))


def _next(last: Snapshot) -> Snapshot:
    reread = [space.dataset.reread() for space in last.spaces]
    version = Version(
        tuple(written for _, _, written in reread),
        tuple(count for _, rows, _ in reread for count in rows.values()),
    )
    if version == last.version:
        return last
    for dataset, _, _ in reread:
        dataset.manifest.require_readable()
    spaces = [
        Space(dataset, space.queries.of(dataset.manifest), rows)
        for space, (dataset, rows, _) in zip(last.spaces, reread, strict=True)
    ]
    for space in spaces:
        for scored_list in space.lists:
            scored_list.prepare()
    where = last.where
    if last.version is None or version.written != last.version.written:
        where = Where(*(space.dataset for space in spaces))
    return Snapshot(spaces, where, version)
