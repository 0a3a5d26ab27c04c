"""mm-milvus inspect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mm_milvus.cli.groups import OpenStore, json_option, store_options
from mm_milvus.cli.output import print_json
from mm_milvus.progress import write_stderr
from mm_milvus.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from mm_milvus.inspection.report import InspectionReport

LISTED = 5
"""Entries of a list that are printed; the report has all of them."""


@store_options
@json_option
def inspect(
    *,
    dataset: Annotated[
        str | None, typer.Argument(help="The dataset (default: the only one).")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Metadata key that groups the images (default: k-means clusters)."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder for the report, the maps, and pictures of pairs and captions.",
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=2, help="Maximum number of images, drawn at random.")
    ] = 10_000,
    pairs: Annotated[int, typer.Option(min=1, help="Number of pairs in the pictures.")] = 20,
    as_json: bool,
    store: OpenStore,
) -> None:
    """Show how the vectors of a dataset lie: gap, groups, near duplicates, outliers, a map.

    Examples:

        mm-milvus inspect photos
        mm-milvus inspect photos --by category --output photos-health
    """
    from mm_milvus.inspection.inspect import inspect_dataset
    from mm_milvus.render.inspection import require_matplotlib, write_inspection

    if output is not None:
        require_matplotlib()
    inspection = inspect_dataset(dataset, store=store(), by=by, sample=sample)
    if as_json:
        print_json(inspection.report.to_dict())
    else:
        print_report(inspection.report)
    if output is not None:
        files = write_inspection(output, inspection, pairs=pairs)
        write_stderr(f"wrote {', '.join(map(str, files))}")


def print_report(report: InspectionReport) -> None:
    """Print the numbers as a table, and the first entries of the two lists."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    images = f"{report.images.count:,} images"
    if report.images.count < report.stored_images:
        images = f"a sample of {report.images.count:,} of {report.stored_images:,} images"
    console.print(
        f"{report.dataset}: {images} and their {report.captions.count:,} distinct captions, "
        f"by {report.model}",
        markup=False,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("meaning")
    for measure, value, meaning in _lines(report):
        table.add_row(Text(measure), _number(value), Text(meaning, style="dim"))
    console.print(table)
    _list(
        console,
        f"near duplicates (cosine above {report.duplicate_cosine})",
        [
            " = ".join(ids[:3]) + ("" if len(ids) <= 3 else f" and {len(ids) - 3} more")
            for ids in report.near_duplicates
        ],
        "cluster",
    )
    _list(
        console,
        "outliers (mean cosine to the five nearest)",
        [f"{outlier.nearness:.3f}  {outlier.item_id}" for outlier in report.outliers],
        "image",
    )


def _lines(report: InspectionReport) -> Iterator[tuple[str, float | None, str]]:
    yield "modality gap", report.modality_gap, "distance of the two centroids; 0 to 2"
    yield "similarity of true pairs", report.true_pairs, "an image and one of its captions"
    yield "similarity of other pairs", report.other_pairs, "an image and a caption of another image"
    yield (
        "anisotropy, images",
        report.images.mean_similarity,
        "mean cosine of two; 0: evenly spread, 1: one direction",
    )
    yield "anisotropy, captions", report.captions.mean_similarity, ""
    yield (
        "effective dimensions, images",
        report.images.effective_dimensions,
        "directions of variance (participation ratio)",
    )
    yield "effective dimensions, captions", report.captions.effective_dimensions, ""
    yield (
        f"silhouette, {report.groups} groups by {report.by}",
        report.silhouette,
        "1: apart, 0: mixed, -1: in the wrong group",
    )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _list(console: Console, title: str, lines: list[str], unit: str) -> None:
    count = "1 " + unit if len(lines) == 1 else f"{len(lines):,} {unit}s"
    console.print(f"{title}: {count if lines else 'none'}")
    for line in lines[:LISTED]:
        console.print(f"  {visible(line)}", markup=False)
    if len(lines) > LISTED:
        console.print(f"  and {len(lines) - LISTED:,} more, in --json and report.json")
    console.print()
