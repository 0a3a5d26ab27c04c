"""mm-milvus query."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mm_milvus.cli.hits import print_explanation, print_hits, save_gallery
from mm_milvus.cli.options import DEFAULT_URI, DbName, Json, Token, Uri, parse_weights, store_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mm_milvus.choices import DedupMode, FusionName
    from mm_milvus.search.client import SearchClient
    from mm_milvus.search.options import SearchOptions
    from mm_milvus.search.query import Query

FILTER, OUTPUT = "Filter", "Output"

QUERY, RANKING = "Query", "Ranking"

EXAMPLES = """
Search by texts, by images, or by both together.

**Examples**

    mm-milvus query "red dress"

    mm-milvus query --image look.jpg --top-k 20

    mm-milvus query "summer dress" --image look.jpg --weight 0.4 --minus "long sleeves"

    mm-milvus query --like train/dress/12.jpg --dedup near --rerank mmr:0.6

    mm-milvus query "boots" --where 'price<50' --where 'tags has sale' --explain

    mm-milvus query --queries questions.jsonl --json
"""


def query(
    text: Annotated[
        list[str] | None, typer.Argument(help="What to search for; one or several texts.")
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            help="An image to search with, a path or URL; repeatable.", rich_help_panel=QUERY
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            help="More like this item of the data set, by its item_id; repeatable.",
            rich_help_panel=QUERY,
        ),
    ] = None,
    minus: Annotated[
        list[str] | None,
        typer.Option(help="A text that is not wanted; repeatable.", rich_help_panel=QUERY),
    ] = None,
    weight: Annotated[
        list[float] | None,
        typer.Option(
            help="Of the texts, images and items in this order, default 1; repeatable. "
            "Fewer than there are parts: of the last ones.",
            rich_help_panel=QUERY,
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            help="Many queries, one a line: JSON with text, image, like, minus, weights. "
            "Prints one JSON object a line.",
            rich_help_panel=QUERY,
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Where to search; default: the only data set there is.")
    ] = None,
    uri: Uri = DEFAULT_URI,
    token: Token = None,
    db_name: DbName = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", help="How many items, 1 to 16384.")] = 10,
    offset: Annotated[int, typer.Option(help="Pass over so many of the best.")] = 0,
    min_score: Annotated[
        float | None, typer.Option(help="Leave out what scores less.", rich_help_panel=FILTER)
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="A condition on the metadata, KEY OP VALUE with = != < <= > >= has; repeatable, "
            "all must hold.",
            rich_help_panel=FILTER,
        ),
    ] = None,
    filter_: Annotated[
        str, typer.Option("--filter", help="A raw Milvus expression.", rich_help_panel=FILTER)
    ] = "",
    dedup: Annotated[
        str,
        typer.Option(
            help="Show what is the same once: item; content, the same image file; near, images "
            "of a cosine above 0.97.",
            rich_help_panel=FILTER,
        ),
    ] = "item",
    fusion: Annotated[
        str,
        typer.Option(
            help="How the lists become one: pnorm, max, weighted, rrf, zscore, dbsf.",
            rich_help_panel=RANKING,
        ),
    ] = "pnorm",
    fusion_weights: Annotated[
        str | None,
        typer.Option(help="Of the lists: image=0.3,text=0.7.", rich_help_panel=RANKING),
    ] = None,
    rerank: Annotated[
        list[str] | None,
        typer.Option(
            help="A stage after the fusion; repeatable: exact, mmr:LAMBDA, "
            "boost:CONDITION:FACTOR, recency:KEY:DAYS, model:ID.",
            rich_help_panel=RANKING,
        ),
    ] = None,
    encoders: Annotated[
        str | None,
        typer.Option(
            help="Of a data set indexed with several: those to search with, A,B.",
            rich_help_panel=RANKING,
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Tell how each score came to be.", rich_help_panel=RANKING),
    ] = False,
    as_json: Json = False,
    gallery: Annotated[
        Path | None,
        typer.Option(help="Write an HTML page with the pictures.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Parse, search, print."""
    from mm_milvus.search.client import SearchClient
    from mm_milvus.search.options import SearchOptions
    from mm_milvus.search.query import Query
    from mm_milvus.search.rerank import parse_rerank

    options = SearchOptions(
        top_k=top_k,
        offset=offset,
        min_score=min_score,
        where=where or (),
        filter=filter_,
        fusion=cast("FusionName", fusion),
        fusion_weights=parse_weights("--fusion-weights", fusion_weights),
        dedup=cast("DedupMode", dedup),
        rerank=[parse_rerank(stage) for stage in rerank or ()],
    )
    names = [name.strip() for name in encoders.split(",")] if encoders else ()
    if queries is not None:
        if text or image or like or minus or weight or gallery or explain:
            raise typer.BadParameter("--queries takes the place of a query: give one or the other")
        asked = read_queries(queries)
        with SearchClient(store_of(uri, token, db_name), dataset, encoders=names) as client:
            print_many(client, asked, options)
        return
    question = Query.of(
        text, image, like=like or (), minus=minus or (), weights=tuple(weight or ())
    )
    with SearchClient(store_of(uri, token, db_name), dataset, encoders=names) as client:
        explanation = client.explain(question, options=options)
        about: dict[str, Any] = {"dataset": client.dataset, "model": client.model}
        if names:
            about["encoders"] = client.models
    hits = explanation.hits
    title = " + ".join(text or ())
    if as_json:
        answer: dict[str, Any] = {"query": title or None, **about}
        if image:
            answer["query_image"] = image[0] if len(image) == 1 else image
        found = explanation.to_dict() if explain else {"hits": [hit.to_dict() for hit in hits]}
        print(json.dumps({**answer, **found}, ensure_ascii=False))
    else:
        print_hits(hits)
        if explain:
            print_explanation(explanation)
    if gallery is not None:
        save_gallery(gallery, hits, text=title, image=image[0] if image else None)


query.__doc__ = EXAMPLES


def read_queries(path: Path) -> list[Query]:
    """The queries of a JSONL file; `QueryError` that names the line of a bad one."""
    from mm_milvus.errors import QueryError
    from mm_milvus.search.query import Query

    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise QueryError(f"cannot read the queries in {path}: {why}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(Query.from_dict(json.loads(line)))
        except (QueryError, ValueError) as error:
            raise QueryError(f"{path}, line {number}: {error}") from error
    return found


def print_many(client: SearchClient, asked: Sequence[Query], options: SearchOptions) -> None:
    """A line of JSON for each query, in order, with what was asked and its hits."""
    for query, hits in zip(asked, client.search_many(asked, options=options), strict=True):
        found = [hit.to_dict() for hit in hits]
        print(json.dumps({"query": query.to_dict(), "hits": found}, ensure_ascii=False))
