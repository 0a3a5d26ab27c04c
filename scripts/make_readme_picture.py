"""Draw the picture of the README: queries and their first hits in a store of examples/emoji.

python scripts/make_readme_picture.py STORE.db
"""

from __future__ import annotations

import sys
from pathlib import Path

from mm_milvus import SearchClient, load_image
from mm_milvus.render.contact_sheet import contact_sheet

QUERIES = ("red dress", "happy cat", "animals of the sea")
TARGET = Path(__file__).parents[1] / "docs" / "images" / "results.png"
TOP_K = 7


def main() -> None:
    """Search, draw the hits, and write the picture."""
    with SearchClient(sys.argv[1]) as client:
        rows = []
        for text in QUERIES:
            hits = client.search(text, top_k=TOP_K)
            pictures = [(load_image(hit.uri), f"{hit.score:.3f}") for hit in hits]
            rows.append((f'mm-milvus query "{text}"', pictures))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(rows).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
