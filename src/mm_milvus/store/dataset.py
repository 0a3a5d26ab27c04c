"""Datasets of a store, two collections each: create, open, finish, list, describe, drop."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from mm_milvus.choices import DEFAULT_STORE
from mm_milvus.errors import OptionError, QueryError, StoreError
from mm_milvus.keys import content_hash
from mm_milvus.schema import Modality
from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import Store, StoreLike, opened
from mm_milvus.store.index import exhaustive_params, untuned_params
from mm_milvus.store.manifest import Manifest, short_name
from mm_milvus.store.rebuild import (
    drop_unfinished,
    fits,
    next_generation,
    public_name,
    recover,
    switch,
)
from mm_milvus.store.reindex import flush_and_reindex
from mm_milvus.store.tuner import Tuner
from mm_milvus.text import is_utf8

T = TypeVar("T")

SUFFIXES = {Modality.IMAGE: "_images", Modality.TEXT: "_texts"}
MAX_NAME_BYTES = 200
MAX_ENCODER_BYTES = 32
"""Milvus takes collection names of at most 255 bytes, suffixes included."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """An open dataset, as one encoder indexed it.

    Attributes:
        manifest: What it was built with.
        images: The collection of images.
        texts: The collection of captions.
    """

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
        """Return the row count by modality, every acknowledged write included."""
        return self.on_both(Collection.count)

    def reread(self) -> tuple[Dataset, dict[str, int], tuple[str, ...]]:
        """Return the dataset with its present manifest, its visible rows, and a version.

        The rows are counted by modality. The version is another one after every change of the
        manifest and every remaking of the collections.

        Raises:
            StoreError: When the dataset no longer exists.
        """
        try:
            manifest, version = self.images.versioned_manifest()
        except StoreError as error:
            if self.images.exists():
                raise
            raise StoreError(
                f"dataset {self.name!r} is no longer in {self.images.store.uri}: it was dropped"
            ) from error
        rows = {c.modality.value: c.visible_rows() for c in self.collections}
        return replace(self, manifest=manifest), rows, version

    def finish(self) -> Dataset:
        """Flush, index and tune both collections, and write the results to the manifest."""
        rows = self.on_both(lambda collection: flush_and_reindex(collection, self.manifest))
        params = self.on_both(lambda collection: self.tuner(collection).choose())
        return self.with_unfit({}, rows=rows, search_params=params)

    def with_unfit(self, unfit: Mapping[str, Iterable[str]], **changes: Any) -> Dataset:
        """Write to the manifest which columns do not hold all values of their keys.

        Call it before such a value is written: from then on a filter looks for it in the metadata.

        Args:
            unfit: As in the manifest; what is stored there already, maybe by another ingest, is
                kept.
            **changes: Other fields of the manifest to change.
        """
        merged = {key: {*kinds} for key, kinds in self.manifest.unfit.items()}
        for other in (self.images.manifest().unfit, unfit):
            for key, kinds in other.items():
                merged.setdefault(key, set()).update(kinds)
        ordered = {key: sorted(kinds) for key, kinds in sorted(merged.items())}
        return self.with_manifest(replace(self.manifest, unfit=ordered, **changes))

    def tuner(self, collection: Collection) -> Tuner:
        """Return a tuner of one of the two collections, with queries from both."""
        return Tuner(collection, self.collections, self.manifest)

    def search_params(self, collection: Collection) -> dict[str, int]:
        """Return the search parameters of one of the two collections.

        They are those of the manifest. Where it has none, because no ingest has finished yet, a
        small collection is searched exhaustively, and as many rows of a large one.
        """
        params = self.manifest.search_params.get(collection.modality.value)
        if params is not None:
            return params
        return untuned_params(self.manifest.index_type, collection.built_with(), collection.count())

    def exhaustive_params(self, collection: Collection, params: dict[str, int]) -> dict[str, int]:
        """Return search parameters by which a search finds all rows that meet an expression.

        Args:
            collection: One of the two collections.
            params: Its search parameters; they are returned if they do so already.
        """
        return exhaustive_params(self.manifest.index_type, params, collection.built_with)

    def with_target(self, recall: float) -> Dataset:
        """Return the dataset with another target recall to be tuned for; nothing is written."""
        if not 0 < recall <= 1:
            raise OptionError(f"`target_recall` is {recall}, and must be above 0, up to 1")
        return replace(self, manifest=replace(self.manifest, target_recall=recall))

    def with_source_options(self, options: dict[str, Any]) -> Dataset:
        """Return the dataset with the options of its last source; nothing is written."""
        if not options:
            return self
        return replace(self, manifest=replace(self.manifest, source_options=options))

    def with_manifest(self, manifest: Manifest) -> Dataset:
        """Write another manifest to both collections."""
        # The images' manifest is the one that is read: if a kill leaves it old, the next ingest
        # finishes again.
        for collection in (self.texts, self.images):
            collection.write_manifest(manifest)
        return replace(self, manifest=manifest)

    def drop(self) -> None:
        """Delete both collections and all of their rows."""
        # One after the other: two drops in parallel can damage Milvus Lite's file of aliases.
        for collection in self.collections:
            collection.drop()

    def on_both(self, call: Callable[[Collection], T]) -> dict[str, T]:
        """Call with both collections in parallel; return the results by modality."""
        with ThreadPoolExecutor(2) as pool:
            results = pool.map(call, self.collections)
            return {c.modality.value: r for c, r in zip(self.collections, results, strict=True)}


def list_datasets(store: StoreLike = DEFAULT_STORE) -> list[Manifest]:
    """List the datasets of a store.

    Args:
        store: A Milvus Lite file (`*.db`), the URI of a server, or an open `Store`.

    Returns:
        Their manifests, ordered by name. A dataset that is indexed with several encoders has one
        per encoder, that of the first encoder first. Those of another `schema_version` are listed
        too; their other fields may be empty.

    Raises:
        StoreError: When the store cannot be reached, or the file does not exist.
    """
    with opened(store, must_exist=True) as connected:
        with connected.explained(f"cannot list the collections of {connected.uri}"):
            names = connected.client.list_collections()
        suffix = SUFFIXES[Modality.IMAGE]
        manifests = []
        for name in sorted({public_name(name) for name in names}):
            if not name.endswith(suffix):
                continue
            try:
                manifests.append(Collection(connected, name, Modality.IMAGE).manifest())
            except StoreError:
                continue  # another application's collection with a name of this form
    return sorted(manifests, key=lambda manifest: (manifest.dataset, manifest.suffix))


def describe_dataset(dataset: str | None = None, store: StoreLike = DEFAULT_STORE) -> Manifest:
    """Describe a dataset: its encoder, index, promoted columns and row counts.

    Args:
        dataset: Name of the dataset (default: the only one in the store).
        store: A Milvus Lite file (`*.db`), the URI of a server, or an open `Store`.

    Returns:
        Its manifest; `rows` are counted now, every acknowledged write included. For a dataset that
        is indexed with several encoders, the manifest of the first.

    Raises:
        QueryError: When there is no such dataset, or no name is given and there are several.
        StoreError: When the store cannot be reached, or the file does not exist.
    """
    with opened(store, must_exist=True) as connected:
        target = open_dataset(connected, dataset)
        return replace(target.manifest, rows=target.counts())


def drop_dataset(dataset: str, store: StoreLike = DEFAULT_STORE) -> None:
    """Delete a dataset and all of its rows, of every encoder that it is indexed with.

    The dataset may have the `schema_version` of another mm-milvus.

    Args:
        dataset: Name of the dataset.
        store: A Milvus Lite file (`*.db`), the URI of a server, or an open `Store`.

    Raises:
        QueryError: When there is no such dataset.
        StoreError: When the store cannot be reached, or the file does not exist.
    """
    with opened(store, must_exist=True) as connected:
        require_manifest(connected, dataset)  # also completes a switch that was killed
        # The first encoder's collections last: by them a dataset is found.
        for manifest in reversed(find_indexes(connected, dataset)):
            index = dataset_of(connected, manifest)
            index.drop()
            for collection in index.collections:
                drop_unfinished(connected, collection.name, live=None)


def create_dataset(store: Store, manifest: Manifest, expected_rows: int) -> Dataset:
    """Open a dataset, and create those of its two collections that do not exist.

    Raises:
        StoreError: When it has the schema version of another mm-milvus.
    """
    manifest.require_readable()
    dataset = dataset_of(store, manifest)
    dataset.on_both(lambda collection: collection.ensure(manifest, expected_rows))
    return dataset


def find_dataset(store: Store, name: str) -> Dataset | None:
    """Open the dataset of that name, as its first encoder indexed it; None if there is none.

    Raises:
        StoreError: When its collections belong to another dataset or application, or have the
            schema version of another mm-milvus.
    """
    manifest = find_manifest(store, name)
    return None if manifest is None else create_dataset(store, manifest, expected_rows=0)


def find_manifest(store: Store, name: str) -> Manifest | None:
    """Return the manifest of the dataset of that name; None if there is none.

    The dataset is not opened, and may have any schema version. Of several encoders, it is the
    manifest of the first.

    Raises:
        StoreError: When its collections belong to another dataset or application.
    """
    images = Collection(store, collection_name(name, Modality.IMAGE), Modality.IMAGE)
    if not (images.exists() or recover(images)):
        return None
    manifest = images.manifest()
    if manifest.dataset != name:
        raise StoreError(f"collection {images.name} belongs to the dataset {manifest.dataset!r}")
    return manifest


def find_indexes(store: Store, name: str) -> list[Manifest]:
    """Return the manifests of a dataset, one per encoder, that of the first encoder first."""
    return [manifest for manifest in list_datasets(store) if manifest.dataset == name]


def open_dataset(store: Store, name: str | None) -> Dataset:
    """Open the named dataset; without a name, the only one in the store.

    Raises:
        QueryError: When there is no such dataset, or no name is given and there are several; the
            message names those that exist.
        StoreError: When its collections belong to another dataset or application, or have the
            schema version of another mm-milvus.
    """
    return create_dataset(store, require_manifest(store, name), expected_rows=0)


def require_manifest(store: Store, name: str | None) -> Manifest:
    """Return the manifest of the named dataset as `find_manifest` does; or of the only one.

    Raises:
        QueryError: When there is no such dataset, or no name is given and there are several; the
            message names those that exist.
        StoreError: When its collections belong to another dataset or application.
    """
    if name is not None and (manifest := find_manifest(store, name)):
        return manifest
    names = sorted({manifest.dataset for manifest in list_datasets(store)})
    if not names:
        raise QueryError(f"{store.uri} holds no dataset; ingest one first")
    existing = ", ".join(names)
    if name is not None:
        raise QueryError(f"no dataset {name!r} in {store.uri}; it holds: {existing}")
    if len(names) > 1:
        raise QueryError(f"{store.uri} holds {len(names)} datasets; name one of: {existing}")
    return require_manifest(store, names[0])


def open_indexes(store: Store, name: str | None, encoders: Sequence[str]) -> list[Dataset]:
    """Open a dataset as each of the named encoders indexed it.

    Args:
        store: An open store.
        name: Name of the dataset; None: the only one in the store.
        encoders: Ids of encoders, or the last part of these; empty: the first encoder.

    Raises:
        QueryError: When there is no such dataset or encoder; the message names those that exist.
    """
    if isinstance(encoders, str) or not all(isinstance(encoder, str) for encoder in encoders):
        raise QueryError("the `encoders` to search with are not given as a list of texts")
    dataset = open_dataset(store, name)
    if not encoders:
        return [dataset]
    manifests = find_indexes(store, dataset.name)
    indexes = []
    for encoder in encoders:
        matching = [manifest for manifest in manifests if _is_called(manifest, encoder)]
        if len(matching) != 1:
            existing = ", ".join(manifest.encoder for manifest in manifests)
            problem = f"with more than one called {encoder}" if matching else f"not with {encoder}"
            raise QueryError(f"dataset {dataset.name!r} is indexed with {existing}, {problem}")
        indexes.append(create_dataset(store, matching[0], expected_rows=0))
    return indexes


def rebuild_dataset(live: Dataset, manifest: Manifest, expected_rows: int) -> Dataset:
    """Open the collections of a rebuild, to be filled while the live ones are searched.

    They may hold rows of an earlier rebuild that was killed, if it had the same settings.
    """
    rebuilt = Dataset(manifest, *next_generation(live.collections))
    if not all(
        collection.exists() and fits(collection, manifest) for collection in rebuilt.collections
    ):
        for collection in live.collections:
            drop_unfinished(collection.store, collection.name, live=collection.physical_name())
    rebuilt.on_both(lambda collection: collection.ensure(manifest, expected_rows))
    return rebuilt


def publish(live: Dataset, rebuilt: Dataset) -> None:
    """Make the dataset's name lead to a finished rebuild, and drop the previous collections."""
    for old, new in zip(live.collections, rebuilt.collections, strict=True):
        switch(old, new)


def encoder_suffix(encoder: str, fingerprint: str) -> str:
    """Return what follows the dataset's name in the collections of a second or later encoder."""
    name = re.sub(r"[^A-Za-z0-9]", "_", short_name(encoder))[:MAX_ENCODER_BYTES]
    return f"_{name}_{fingerprint[:8]}"


def collection_name(dataset: str, modality: Modality, encoder_suffix: str = "") -> str:
    """Return a name that Milvus accepts, with a hash where it is not the dataset's own.

    Raises:
        QueryError: When the dataset's name is empty, or is no text.
    """
    if not isinstance(dataset, str) or not is_utf8(dataset):
        raise QueryError(f"{dataset!r} is no name of a dataset: give a text (`dataset`)")
    if not dataset.strip():
        raise QueryError("the dataset has no name: give it one (`dataset`)")
    safe = re.sub(r"[^A-Za-z0-9_]", "_", dataset)[:MAX_NAME_BYTES]
    if not re.match(r"[A-Za-z_]", safe):
        safe = f"_{safe}"
    if safe != dataset:
        safe = f"{safe}_{content_hash(dataset)[:8]}"
    return safe + encoder_suffix + SUFFIXES[modality]


def dataset_of(store: Store, manifest: Manifest) -> Dataset:
    """Name the two collections of a manifest, without a call of the engine."""
    images, texts = (
        Collection(store, collection_name(manifest.dataset, modality, manifest.suffix), modality)
        for modality in (Modality.IMAGE, Modality.TEXT)
    )
    return Dataset(manifest, images, texts)


def _is_called(manifest: Manifest, encoder: str) -> bool:
    return encoder in (manifest.encoder, short_name(manifest.encoder))
