"""The two collections of a data set: create, open, finish, list, drop."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from mm_milvus.errors import QueryError, StoreError
from mm_milvus.keys import content_hash
from mm_milvus.schema import Modality
from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import Store
from mm_milvus.store.finish import flush_and_reindex
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.rebuild import (
    drop_unfinished,
    fits,
    next_generation,
    public_name,
    recover,
    switch,
)
from mm_milvus.store.tune import Tuner

T = TypeVar("T")

SUFFIXES = {Modality.IMAGE: "_images", Modality.TEXT: "_texts"}
MAX_NAME_BYTES = 200
MAX_ENCODER_BYTES = 32
"""Milvus takes names of 255 bytes in all."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """An open data set: its manifest and its two collections."""

    manifest: Manifest
    images: Collection
    texts: Collection

    @property
    def name(self) -> str:
        """The name that the user gave."""
        return self.manifest.dataset

    @property
    def collections(self) -> tuple[Collection, Collection]:
        """Both collections, images first."""
        return self.images, self.texts

    def counts(self) -> dict[str, int]:
        """For each modality the row count, every acknowledged write included."""
        return self.on_both(Collection.count)

    def finish(self) -> Dataset:
        """Flush, index and tune both collections, and write what came out to the manifest."""
        rows = self.on_both(lambda collection: flush_and_reindex(collection, self.manifest))
        params = self.on_both(lambda collection: self.tuner(collection).choose())
        return self.with_manifest(replace(self.manifest, rows=rows, search_params=params))

    def tuner(self, collection: Collection) -> Tuner:
        """Measures the search of one of the two collections, asked by rows of both."""
        return Tuner(collection, self.collections, self.manifest)

    def with_target(self, recall: float) -> Dataset:
        """The data set, to be tuned for another recall; nothing is written."""
        if not 0 < recall <= 1:
            raise QueryError(f"the target recall is {recall}, and must be above 0, up to 1")
        return replace(self, manifest=replace(self.manifest, target_recall=recall))

    def with_manifest(self, manifest: Manifest) -> Dataset:
        """Write another manifest to both collections."""
        # That of the images is read: where it is old, the next ingest finishes again.
        for collection in (self.texts, self.images):
            collection.write_manifest(manifest)
        return replace(self, manifest=manifest)

    def drop(self) -> None:
        """Delete both collections and all that is in them."""
        for collection in self.collections:  # at once, two drops can spoil Lite's file of aliases
            collection.drop()

    def on_both(self, call: Callable[[Collection], T]) -> dict[str, T]:
        """Call on both collections at the same time; the results by modality."""
        with ThreadPoolExecutor(2) as pool:
            results = pool.map(call, self.collections)
            return {c.modality.value: r for c, r in zip(self.collections, results, strict=True)}


def create_dataset(connection: Store, manifest: Manifest, expected_rows: int) -> Dataset:
    """Create what is missing of a data set's two collections, and open it."""
    dataset = _named(connection, manifest)
    dataset.on_both(lambda collection: collection.ensure(manifest, expected_rows))
    return dataset


def find_dataset(connection: Store, name: str) -> Dataset | None:
    """The data set of that name, ready to be searched; None when there is none.

    Of one with several encoders it is the collections of the first.
    """
    images = Collection(connection, collection_name(name, Modality.IMAGE), Modality.IMAGE)
    if not (images.exists() or recover(images)):
        return None
    manifest = images.manifest()
    if manifest.dataset != name:
        raise StoreError(f"collection {images.name} belongs to the data set {manifest.dataset!r}")
    return create_dataset(connection, manifest, expected_rows=0)


def find_indexes(connection: Store, name: str) -> list[Manifest]:
    """The manifests of a data set, one for each encoder, the first one first."""
    return [manifest for manifest in list_datasets(connection) if manifest.dataset == name]


def encoder_suffix(encoder: str, fingerprint: str) -> str:
    """What the collections of a further encoder are called, after the data set's name."""
    short = encoder.rstrip("/").rpartition("/")[2]
    return f"_{re.sub(r'[^A-Za-z0-9]', '_', short)[:MAX_ENCODER_BYTES]}_{fingerprint[:8]}"


def open_dataset(connection: Store, name: str | None) -> Dataset:
    """The named data set; without a name, the only one that there is.

    Raises `QueryError` that names the data sets there are.
    """
    if name is not None and (found := find_dataset(connection, name)):
        return found
    names = sorted({manifest.dataset for manifest in list_datasets(connection)})
    if not names:
        raise QueryError(
            f"{connection.uri} holds no data set; fill one with: mm-milvus ingest PATH"
        )
    there = ", ".join(names)
    if name is not None:
        raise QueryError(f"no data set {name!r} in {connection.uri}; there are: {there}")
    if len(names) > 1:
        raise QueryError(f"{connection.uri} holds {len(names)} data sets; name one of: {there}")
    return open_dataset(connection, names[0])


def open_indexes(connection: Store, name: str | None, encoders: Sequence[str]) -> list[Dataset]:
    """The data set as each of the named encoders filled it; none: as the first one did.

    encoders  their ids, or the last part of these

    Raises `QueryError` that names the data sets, or the encoders, there are.
    """
    dataset = open_dataset(connection, name)
    if not encoders:
        return [dataset]
    manifests = find_indexes(connection, dataset.name)
    found = []
    for encoder in encoders:
        same = [manifest for manifest in manifests if _is_called(manifest, encoder)]
        if len(same) != 1:
            there = ", ".join(manifest.encoder for manifest in manifests)
            why = f"not with {encoder}" if not same else f"with more than one called {encoder}"
            raise QueryError(f"data set {dataset.name!r} is indexed with {there}, {why}")
        found.append(create_dataset(connection, same[0], expected_rows=0))
    return found


def rebuild_dataset(live: Dataset, manifest: Manifest, expected_rows: int) -> Dataset:
    """The collections of a rebuild, to be filled while the live ones are searched.

    They may hold rows of an earlier one that was killed, if it was to be built alike.
    """
    rebuilt = Dataset(manifest, *next_generation(live.collections))
    if not all(each.exists() and fits(each, manifest) for each in rebuilt.collections):
        for each in live.collections:
            drop_unfinished(each.connection, each.name, live=each.physical_name())
    rebuilt.on_both(lambda collection: collection.ensure(manifest, expected_rows))
    return rebuilt


def publish(live: Dataset, rebuilt: Dataset) -> None:
    """Let the data set's name lead to what a rebuild filled and finished, and drop the former."""
    for former, new in zip(live.collections, rebuilt.collections, strict=True):
        switch(former, new)


def drop_dataset(connection: Store, name: str) -> None:
    """Delete the collections of all of a data set's encoders, the first one's last."""
    for manifest in reversed(find_indexes(connection, name)):
        dataset = _named(connection, manifest)
        dataset.drop()
        for collection in dataset.collections:
            drop_unfinished(connection, collection.name, live=None)


def list_datasets(connection: Store) -> list[Manifest]:
    """The manifests of all data sets by name, one for each encoder, the first one first."""
    with connection.explained(f"cannot list the collections of {connection.uri}"):
        names = connection.client.list_collections()
    suffix = SUFFIXES[Modality.IMAGE]
    manifests = []
    for name in sorted({public_name(name) for name in names}):
        if not name.endswith(suffix):
            continue
        try:
            manifests.append(Collection(connection, name, Modality.IMAGE).manifest())
        except StoreError:
            continue  # somebody else's collection that happens to end alike
    return sorted(manifests, key=lambda manifest: (manifest.dataset, manifest.beside))


def collection_name(dataset: str, modality: Modality, encoder_suffix: str = "") -> str:
    """A name that Milvus takes: the data set's own where it can be, else one with its hash."""
    if not dataset.strip():
        raise QueryError("the data set has no name; give one with --dataset NAME")
    safe = re.sub(r"[^A-Za-z0-9_]", "_", dataset)[:MAX_NAME_BYTES]
    if not re.match(r"[A-Za-z_]", safe):
        safe = f"_{safe}"
    if safe != dataset:
        safe = f"{safe}_{content_hash(dataset)[:8]}"
    return safe + encoder_suffix + SUFFIXES[modality]


def _named(connection: Store, manifest: Manifest) -> Dataset:
    images, texts = (
        Collection(
            connection, collection_name(manifest.dataset, modality, manifest.beside), modality
        )
        for modality in (Modality.IMAGE, Modality.TEXT)
    )
    return Dataset(manifest, images, texts)


def _is_called(manifest: Manifest, encoder: str) -> bool:
    return encoder in (manifest.encoder, manifest.encoder.rstrip("/").rpartition("/")[2])
