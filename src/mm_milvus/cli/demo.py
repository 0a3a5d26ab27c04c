"""mm-milvus demo."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from mm_milvus.cli.query import print_hits, save_gallery
from mm_milvus.errors import SourceError

QUERIES = ("red dress", "happy cat", "animals of the sea")

IN_PACKAGE = Path(__file__).parents[1] / "examples" / "emoji"
IN_REPOSITORY = Path(__file__).parents[3] / "examples" / "emoji"


def demo(
    folder: Annotated[Path, typer.Option(help="Where to put the store and the galleries.")] = Path(
        "mm-milvus-demo"
    ),
) -> None:
    """Index the bundled pictures into a fresh local file, and search them.

    **Example**

        mm-milvus demo
    """
    from mm_milvus.pipeline import IngestOptions, ingest
    from mm_milvus.search import SearchClient

    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "demo.db"
    shutil.rmtree(store, ignore_errors=True)
    print(f"$ mm-milvus ingest examples/emoji --uri {store}")
    report = ingest(_pictures(), uri=str(store), options=IngestOptions(progress=True))
    print(f"{report.images} images and {report.captions} captions in {report.seconds:.1f} s")
    with SearchClient(str(store)) as client:
        for text in QUERIES:
            gallery = folder / f"{text.replace(' ', '-')}.html"
            print(f'\n$ mm-milvus query "{text}" --uri {store} --gallery {gallery}')
            hits = client.search(text)
            print_hits(hits)
            save_gallery(gallery, hits, text=text, image=None)
    print(f"\nnow yours: mm-milvus query rocket --uri {store}")


def _pictures() -> Path:
    for place in (IN_PACKAGE, IN_REPOSITORY):
        if place.is_dir():
            return place
    raise SourceError(
        "the demo's pictures are not installed: install mm-milvus from its wheel, "
        "or run the demo in a clone of the repository"
    )
