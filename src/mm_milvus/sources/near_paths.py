"""Find the file that a path of a table means where the path differs from it only in its spelling.

Tables are written on one system and files are copied through others: Windows separates by
backslashes and ignores letter case, and macOS stores names in another Unicode form (NFD).
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from mm_milvus.files import Place

CACHED_FOLDERS = 64

BACKSLASHES = "paths have backslashes, and were read with slashes"
UNICODE = "paths are in another Unicode form than their files"
LETTER_CASE = "paths differ in letter case from their files"


class NearPaths:
    """Looks paths up in the folders below one folder; each is listed once.

    Attributes:
        root: The folder.
    """

    def __init__(self, root: Place) -> None:
        """Look below a folder; nothing is listed yet."""
        self.root = root
        self._names = lru_cache(CACHED_FOLDERS)(self._names_in)

    def find(self, written: str) -> tuple[Place, str] | None:
        """Find the only file that a relative path can mean.

        Args:
            written: A path that names no file.

        Returns:
            The file, and how the path differs from it; None where no file, or more than one, has
            such a path.
        """
        path = posixpath.normpath(written.replace("\\", "/"))
        if path.startswith(("/", "../")):
            return None
        actual = ""
        for part in path.split("/"):
            names = self._names(actual)
            same = [name for name in names.get(_fold(part), ()) if _nfc(name) == _nfc(part)]
            candidates = same or names.get(_fold(part), ())
            if len(candidates) != 1:
                return None
            actual = posixpath.join(actual, candidates[0])
        place = self.root.child(actual)
        if not place.is_file():
            return None
        if path == actual:
            return place, BACKSLASHES
        return place, UNICODE if _nfc(path) == _nfc(actual) else LETTER_CASE

    def _names_in(self, folder: str) -> Mapping[str, tuple[str, ...]]:
        """Return the names in a folder, by what is left without case and Unicode form."""
        place = self.root.child(folder) if folder else self.root
        names: dict[str, tuple[str, ...]] = {}
        try:
            for entry in place.entries():
                folded = _fold(entry.name)
                names[folded] = (*names.get(folded, ()), entry.name)
        except Exception:
            return {}
        return names


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _fold(name: str) -> str:
    return _nfc(_nfc(name).casefold())
