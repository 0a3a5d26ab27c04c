"""mm-milvus query."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mm_milvus.cli.groups import (
    CAPTION_HAS,
    FILTER,
    FUSION_WEIGHTS,
    OUTPUT,
    RAW_FILTER,
    WHERE,
    OpenStore,
    json_option,
    store_options,
)
from mm_milvus.cli.hits import print_explanation, print_hits, save_gallery
from mm_milvus.cli.input import opened_lines
from mm_milvus.cli.options import Flag, comma_list, options_of
from mm_milvus.cli.output import print_json
from mm_milvus.cli.query_file import answers, parse_lines
from mm_milvus.cli.runs import EXIT_REJECTED
from mm_milvus.search.options import SearchOptions

if TYPE_CHECKING:
    from mm_milvus.search.rerank import Rerank

QUERY, RANKING = "Query", "Ranking"


def _rerank_stages(texts: list[str]) -> list[Rerank]:
    from mm_milvus.search.rerank import parse_rerank

    return [parse_rerank(text) for text in texts]


@store_options
@options_of(
    SearchOptions,
    panel=RANKING,
    top_k=Flag(names=("--top-k", "-k"), panel="Options"),
    offset=Flag(panel="Options"),
    min_score=Flag(panel=FILTER),
    where=WHERE,
    caption_has=CAPTION_HAS,
    filter=RAW_FILTER,
    fusion_weights=FUSION_WEIGHTS.flag(),
    dedup=Flag(panel=FILTER),
    rerank=Flag(
        type=list[str],
        parse=_rerank_stages,
        metavar="STAGE",
        help="A stage after the fusion: exact, mmr:LAMBDA, boost:CONDITION:FACTOR, "
        "recency:KEY:DAYS, model:ID.",
    ),
)
@json_option
def query(
    *,
    text: Annotated[
        list[str] | None, typer.Argument(help="What to search for: one or several texts.")
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(help="An image to search with: a path or URL.", rich_help_panel=QUERY),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ITEM_ID",
            help="Search for more like this item of the dataset.",
            rich_help_panel=QUERY,
        ),
    ] = None,
    minus: Annotated[
        list[str] | None,
        typer.Option(help="A text that hits should not match.", rich_help_panel=QUERY),
    ] = None,
    weights: Annotated[
        list[float] | None,
        typer.Option(
            "--weight",
            help="Weight of a part of the query: texts, images, then items (default: 1 each). "
            "Fewer weights than parts belong to the last ones.",
            rich_help_panel=QUERY,
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Answer many queries, one per line (`-`: of stdin): a text, or a JSON object with "
            "text, image, like, minus, weights. Prints one JSON object per line.",
            rich_help_panel=QUERY,
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Where to search (default: the only dataset).")
    ] = None,
    store: OpenStore,
    options: SearchOptions,
    encoders: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Encoders to search with, for a dataset indexed with several.",
            rich_help_panel=RANKING,
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Show how each score was computed.", rich_help_panel=RANKING
        ),
    ] = False,
    as_json: bool,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="KEY,...",
            help="Metadata keys to show as columns of the table.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    gallery: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write an HTML page with the images.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Search by texts, by images, or by both together.

    Examples:

        mm-milvus query "red dress"
        mm-milvus query --image look.jpg --top-k 20
        mm-milvus query dress --image look.jpg --weight 0.4 --minus "long sleeves"
        mm-milvus query --like train/dress/12.jpg --dedup near --rerank mmr:0.6
        mm-milvus query boots --where 'price<50' --where 'tags has sale'
        mm-milvus query boots --columns price,tags
        mm-milvus query "red dress" --explain
        mm-milvus query boots --where 'color in (red, blue) or added>=2026-05-01'
        mm-milvus query --queries questions.txt > answers.jsonl
    """
    from mm_milvus.search.client import SearchClient
    from mm_milvus.search.query import Query

    names = comma_list(encoders or "")
    if queries is not None:
        if text or image or like or minus or weights or gallery or explain:
            raise typer.BadParameter("--queries takes the place of a query: give one or the other")
        refused = False
        with (
            opened_lines(queries, "the queries") as lines,
            SearchClient(store(), dataset, encoders=names) as client,
        ):
            for answer in answers(client, parse_lines(lines), options):
                print_json(answer)
                refused = refused or "error" in answer
        if refused:
            raise typer.Exit(EXIT_REJECTED)
        return
    wanted = Query.of(text, image, like=like or (), minus=minus or (), weights=tuple(weights or ()))
    with SearchClient(store(), dataset, encoders=names) as client:
        explanation = client.explain(wanted, options=options)
        about: dict[str, Any] = {"dataset": client.dataset, "model": client.model}
        if names:
            about["encoders"] = client.models
    hits = explanation.hits
    title = " + ".join(text or ())
    if as_json:
        answer = {"query": title or None, **about}
        if image:
            answer["query_image"] = image[0] if len(image) == 1 else image
        result = explanation.to_dict() if explain else {"hits": [hit.to_dict() for hit in hits]}
        print_json({**answer, **result})
    else:
        print_hits(hits, comma_list(columns or ""))
        if explain:
            print_explanation(explanation)
    if gallery is not None:
        save_gallery(gallery, hits, text=title, image=image[0] if image else None)
