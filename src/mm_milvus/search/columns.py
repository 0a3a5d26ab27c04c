"""The typed columns that a filter can use, of all encoders that a client searches with."""

from __future__ import annotations

from collections.abc import Sequence

from mm_milvus.filters.columns import FilterColumns
from mm_milvus.store.manifest import Manifest


def common_columns(manifests: Sequence[Manifest]) -> FilterColumns:
    """Return the columns that a filter of all of these indexes of a dataset can use."""
    first, *others = manifests
    if any(manifest.nullable != first.nullable for manifest in others):
        return FilterColumns({})
    types = {
        key: kind
        for key, kind in first.columns.items()
        if all(manifest.columns.get(key) == kind for manifest in others)
    }
    unfit = {
        key: {kind for manifest in manifests for kind in manifest.unfit.get(key, ())}
        for key in types
    }
    return FilterColumns(types, unfit, nullable=first.nullable)
