"""A page of hits with their pictures: one HTML file without scripts or network access."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from mm_milvus.errors import MmMilvusError
from mm_milvus.images.decoding import decode
from mm_milvus.render.style import CSS
from mm_milvus.search.hits import Hit, ListScore
from mm_milvus.text import as_text

THUMBNAIL = 256
"""The longest side of an embedded picture, in pixels."""

SMALL = 96
"""A picture whose longest side is at most this many pixels is embedded without loss."""

QUALITY = 82
"""Quality of the other pictures, as WebP."""

ImageLoader = Callable[[str], Image.Image]
"""Opens the image of a hit by its `uri`."""


def write_gallery(
    path: Path,
    hits: Sequence[Hit],
    *,
    title: str,
    query_image: Image.Image | None,
    load_image: ImageLoader,
) -> None:
    """Write one self-contained HTML file: the query on top, then a card per hit, best first.

    Args:
        path: The file, which is replaced if it exists.
        hits: The results of a search.
        title: The text of the query; empty for a query by an image alone.
        query_image: The image of the query; None without one.
        load_image: Opens the image of a hit. Where it raises `MmMilvusError` or `OSError`, the
            card shows the reason in place of the picture.

    Raises:
        OSError: When the file cannot be written.
    """
    page = "".join(_page(hits, title, query_image, load_image))
    path.write_text(page, encoding="utf-8", errors="replace")


def _page(
    hits: Sequence[Hit], title: str, query_image: Image.Image | None, load_image: ImageLoader
) -> Iterator[str]:
    heading = title.strip() or ("Search by image" if query_image else "Search")
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(heading)}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n"
    )
    yield _header(heading, query_image, len(hits))
    if hits:
        yield '<main>\n<ol class="grid">\n'
        yield from (_card(rank, hit, load_image) for rank, hit in enumerate(hits, start=1))
        yield "</ol>\n</main>\n"
    else:
        yield '<main><p class="empty">Nothing was found.</p></main>\n'
    yield "</body>\n</html>\n"


def _header(title: str, query_image: Image.Image | None, count: int) -> str:
    picture = "" if query_image is None else f'<div class="asked">{_img(query_image, title)}</div>'
    hits = "1 hit" if count == 1 else f"{count:,} hits"
    return (
        f'<header>{picture}<div><p class="kicker">Query</p>'
        f'<h1 dir="auto">{escape(title)}</h1><p class="count">{hits}</p></div></header>\n'
    )


def _card(rank: int, hit: Hit, load_image: ImageLoader) -> str:
    caption = (
        f'<p class="caption" dir="auto">{escape(hit.caption)}</p>'
        if hit.caption
        else '<p class="caption none">no caption</p>'
    )
    return (
        f'<li class="card"><div class="picture">{_picture(hit, load_image)}'
        f'<span class="rank">{rank}</span>'
        f'<span class="score" title="score">{hit.score:.4f}</span></div>'
        f'<div class="body">{caption}<p class="item" title="{escape(hit.uri)}">'
        f"{escape(hit.item_id)}</p>"
        f"<dl>{_list_score('image', hit.image)}{_list_score('text', hit.text)}</dl>"
        f"{_metadata(hit.metadata)}</div></li>\n"
    )


def _picture(hit: Hit, load_image: ImageLoader) -> str:
    if not hit.uri:
        return '<div class="missing"><b>No picture</b><span>the item has none</span></div>'
    try:
        return _img(load_image(hit.uri), hit.caption or hit.item_id)
    except (MmMilvusError, OSError) as error:
        reason = escape(str(error) or type(error).__name__)
        return f'<div class="missing"><b>No picture</b><span>{reason}</span></div>'


def _img(image: Image.Image, alt: str) -> str:
    return f'<img src="{data_uri(image)}" alt="{escape(alt)}">'


def data_uri(image: Image.Image, longest: int = THUMBNAIL) -> str:
    """Return a picture as a `data:` URI, scaled down to at most `longest` pixels per side."""
    lossless = max(image.size) <= SMALL
    thumbnail = decode(image).copy()
    thumbnail.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    thumbnail.save(buffer, "WEBP", quality=QUALITY, lossless=lossless)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _list_score(name: str, place: ListScore | None) -> str:
    if place is None:
        return f'<div class="absent"><dt>{name}</dt><dd>–</dd></div>'
    return f"<div><dt>{name}</dt><dd>{place.score:.3f} <i>#{place.rank}</i></dd></div>"


def _metadata(metadata: dict[str, Any]) -> str:
    if not metadata:
        return ""
    rows = "".join(
        f"<tr><th>{escape(key)}</th><td>{escape(as_text(value))}</td></tr>"
        for key, value in metadata.items()
    )
    return f"<details><summary>metadata</summary><table>{rows}</table></details>"
