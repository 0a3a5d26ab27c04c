"""A data set built anew beside the one that is searched, and the switch from one to the other.

The collections that were filled first bear the data set's own names. Those of a rebuild are called
after them, with the number of their generation, `photos_images__g1`; once they are complete, the
name becomes an alias of theirs, and the former ones are dropped. Queries use the name, and find
one or the other whole at any time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from pymilvus import MilvusClient

from mm_milvus.store.collection import Collection
from mm_milvus.store.connection import Store
from mm_milvus.store.manifest import Manifest

_GENERATION = re.compile(r"(.+)__g(\d+)")


def public_name(name: str) -> str:
    """The name that a collection of any generation is searched by."""
    found = _GENERATION.fullmatch(name)
    return found[1] if found else name


def next_generation(live: Iterable[Collection]) -> list[Collection]:
    """The collections that a rebuild of these fills; they may be there, from one that was killed.

    A switch that was killed half-way is brought to its end first.
    """
    collections = list(live)
    numbers = [_number(each.physical_name()) for each in collections]
    for collection, number in zip(collections, numbers, strict=True):
        if number < max(numbers):
            switch(collection, _of_generation(collection, max(numbers)))
    return [_of_generation(each, max(numbers) + 1) for each in collections]


def switch(live: Collection, rebuilt: Collection) -> None:
    """Let the name of the live collection lead to the rebuilt one, and drop the former."""
    client, name, former = live.client, live.name, live.physical_name()
    with live.store.explained(f"cannot switch {name} to {rebuilt.name}"):
        if former == name:
            former = f"{name}__g0"
            client.rename_collection(name, former)
            client.create_alias(rebuilt.name, name)
        else:
            client.alter_alias(rebuilt.name, name)
        client.drop_collection(former)


def recover(collection: Collection) -> bool:
    """Whether a collection without its name was found: a switch was killed before the last step."""
    for name in reversed(generations(collection.client, collection.name)):
        rebuilt = Collection(collection.store, name, collection.modality)
        if rebuilt.manifest().rows:
            with collection.store.explained(f"cannot name {name}"):
                collection.client.create_alias(name, collection.name)
            return True
    return False


def generations(client: MilvusClient, name: str) -> list[str]:
    """The collections of a name's generations but the first, oldest first."""
    numbers = {}
    for each in client.list_collections():
        if (found := _GENERATION.fullmatch(each)) and found[1] == name:
            numbers[each] = int(found[2])
    return sorted(numbers, key=numbers.__getitem__)


def fits(collection: Collection, manifest: Manifest) -> bool:
    """Whether what an earlier rebuild left behind was built as this one is to be."""
    left = collection.manifest()
    return replace(left, rows={}, search_params={}) == replace(manifest, rows={}, search_params={})


def drop_unfinished(connection: Store, name: str, *, live: str | None) -> None:
    """Delete what killed rebuilds of a collection left behind, all generations but the live one."""
    with connection.explained(f"cannot drop collection {name}"):
        for each in generations(connection.client, name):
            if each != live:
                connection.client.drop_collection(each)


def _of_generation(collection: Collection, number: int) -> Collection:
    name = f"{collection.name}__g{number}"
    return Collection(collection.store, name, collection.modality)


def _number(physical_name: str) -> int:
    found = _GENERATION.fullmatch(physical_name)
    return int(found[2]) if found else 0
