"""Rebuild a dataset while the current one is searched, and switch from one to the other.

The collections that are filled first have the dataset's own names. Those of a rebuild have the
number of their generation in addition, `photos_images__g1`. Once they are complete, the name
becomes an alias of theirs, and the previous ones are dropped. Queries use the name, and find one
or the other complete at any time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pymilvus import MilvusClient

from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import Store
from mm_milvus.store.manifest import Manifest

_GENERATION = re.compile(r"(.+)__g(\d+)")


def public_name(name: str) -> str:
    """Return the name under which a collection of any generation is searched."""
    match = _GENERATION.fullmatch(name)
    return match[1] if match else name


def next_generation(live: Iterable[Collection]) -> list[Collection]:
    """Return the collections that a rebuild of the live ones fills.

    They may exist already, from a rebuild that was killed. A switch that was killed half-way is
    completed first.
    """
    collections = list(live)
    numbers = [_number(collection.physical_name()) for collection in collections]
    for collection, number in zip(collections, numbers, strict=True):
        if number < max(numbers):
            switch(collection, _of_generation(collection, max(numbers)))
    return [_of_generation(collection, max(numbers) + 1) for collection in collections]


def switch(live: Collection, rebuilt: Collection) -> None:
    """Make the name of the live collection lead to the rebuilt one, and drop the previous one."""
    client, name, previous = live.client, live.name, live.physical_name()
    with live.store.explained(f"cannot switch {name} to {rebuilt.name}"):
        if previous == name:
            previous = f"{name}__g0"
            client.rename_collection(name, previous)
            client.create_alias(rebuilt.name, name)
        else:
            client.alter_alias(rebuilt.name, name)
        client.drop_collection(previous)


def recover(collection: Collection) -> bool:
    """Complete a switch that was killed before the name led to the rebuilt collection.

    Returns:
        Whether there was one.
    """
    for name in reversed(generations(collection.client, collection.name)):
        rebuilt = Collection(collection.store, name, collection.modality)
        if rebuilt.manifest().rows:
            with collection.store.explained(f"cannot name {name}"):
                collection.client.create_alias(name, collection.name)
            return True
    return False


def generations(client: MilvusClient, name: str) -> list[str]:
    """Return the collections of all generations of a name but the first, oldest first."""
    numbers = {}
    for collection in client.list_collections():
        if (match := _GENERATION.fullmatch(collection)) and match[1] == name:
            numbers[collection] = int(match[2])
    return sorted(numbers, key=numbers.__getitem__)


def fits(collection: Collection, manifest: Manifest) -> bool:
    """Return whether the collection of an interrupted rebuild has the settings of this one."""
    differing: dict[str, Any] = {"rows": {}, "search_params": {}, "unfit": {}}
    differing["source_options"] = None
    return replace(collection.manifest(), **differing) == replace(manifest, **differing)


def drop_unfinished(store: Store, name: str, *, live: str | None) -> None:
    """Delete the collections that interrupted rebuilds left: all generations but the live one."""
    with store.explained(f"cannot drop collection {name}"):
        for generation in generations(store.client, name):
            if generation != live:
                store.client.drop_collection(generation)


def _of_generation(collection: Collection, number: int) -> Collection:
    name = f"{collection.name}__g{number}"
    return Collection(collection.store, name, collection.modality)


def _number(physical_name: str) -> int:
    match = _GENERATION.fullmatch(physical_name)
    return int(match[2]) if match else 0
