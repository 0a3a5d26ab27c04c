"""All folders below a folder, each once."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from mm_milvus.files import Place, read_failure


def walk(root: Place, hidden: tuple[str, ...] = (".",)) -> Iterator[tuple[str, list[str] | str]]:
    """Yield the folders at and below a folder, in the order of names, without hidden files.

    Args:
        root: The folder.
        hidden: What the names of hidden files and folders begin with.

    Yields:
        The path of a folder relative to the root, "" for the root, and the names of its files in
        order; or, where it cannot be listed, the reason.
    """
    visited: set[object] = set()
    stack = [""]
    while stack:
        folder = stack.pop()
        place = root.child(folder) if folder else root
        try:
            identity = place.identity()
            # Links may lead back up; a folder that is reached twice is read once.
            if identity in visited:
                continue
            visited.add(identity)
            listing = place.entries()
        except Exception as error:  # each filesystem has errors of its own
            yield folder, f"the folder cannot be read: {read_failure(error)}"
            continue
        visible = [entry for entry in listing if not entry.name.startswith(hidden)]
        yield folder, [entry.name for entry in visible if not entry.is_dir]
        folders = [posixpath.join(folder, entry.name) for entry in visible if entry.is_dir]
        stack += reversed(folders)
