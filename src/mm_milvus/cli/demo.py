"""mm-milvus demo."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from mm_milvus.cli.hits import print_hits, save_gallery

QUERIES = ("red dress", "happy cat", "animals of the sea")


def demo(
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Where to put the store and the galleries.")
    ] = Path("mm-milvus-demo"),
) -> None:
    """Index the bundled images into a new local store, and search them.

    Examples:

        mm-milvus demo
        mm-milvus demo --folder /tmp/demo
    """
    from mm_milvus.bundled import example_pictures
    from mm_milvus.ingestion.ingest import ingest
    from mm_milvus.ingestion.options import IngestOptions
    from mm_milvus.search.client import SearchClient

    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "demo.db"
    shutil.rmtree(store, ignore_errors=True)
    pictures = example_pictures()
    print(f"$ mm-milvus ingest {pictures} --uri {store}")
    report = ingest(pictures, store=store, options=IngestOptions(progress="auto"))
    print(f"stored {report.images} images and {report.captions} captions in {report.seconds:.1f} s")
    with SearchClient(str(store)) as client:
        for text in QUERIES:
            gallery = folder / f"{text.replace(' ', '-')}.html"
            print(f'\n$ mm-milvus query "{text}" --uri {store} --gallery {gallery}')
            hits = client.search(text)
            print_hits(hits)
            save_gallery(gallery, hits, text=text, image=None)
    print(f"\nnow try: mm-milvus query rocket --uri {store}")
