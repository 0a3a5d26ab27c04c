"""Where the latest row of each item is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mm_milvus.digests import array, find, pack
from mm_milvus.keys import image_key


class Index:
    """Of each item the number of its last row: 24 bytes a row, 240 MB for ten million."""

    def __init__(self, item_ids: Iterable[str]) -> None:
        """Take the ids of all rows, in their order."""
        digests = bytearray()
        for item_id in item_ids:
            digests += bytes.fromhex(image_key(item_id))
        of_rows = array(digests)
        order = np.argsort(of_rows, kind="stable")
        ordered = of_rows[order]
        last = np.ones(len(ordered), bool)
        last[:-1] = ordered[1:] != ordered[:-1]
        self._digests = ordered[last]
        self._rows = order[last]
        self._size = len(of_rows)

    def latest(self) -> NDArray[np.bool_]:
        """For each row whether it is the last of its item."""
        mask = np.zeros(self._size, bool)
        mask[self._rows] = True
        return mask

    def find(self, item_ids: Sequence[str]) -> list[int | None]:
        """For each item the number of its last row; None where it has none."""
        places, found = find(array(pack(map(image_key, item_ids))), self._digests)
        return [
            int(self._rows[place]) if is_there else None
            for place, is_there in zip(places, found, strict=True)
        ]
