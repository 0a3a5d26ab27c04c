"""mm-milvus export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from mm_milvus.choices import ExportFormat
from mm_milvus.cli.groups import json_option
from mm_milvus.cli.options import choose_from
from mm_milvus.cli.output import print_json


@json_option
def export(
    *,
    model: Annotated[
        str,
        typer.Argument(help="`compact`, a CLIP-like model by hub id, or the folder of a model."),
    ],
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to make; it must not exist yet.")
    ],
    format: Annotated[  # noqa: A002
        ExportFormat,
        typer.Option(
            help="Format of the graphs.", parser=choose_from(get_args(ExportFormat), "format")
        ),
    ] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise matrix products (onnx, torchscript).")
    ] = False,
    as_json: bool,
) -> None:
    """Write an encoder as graphs that run fast on a CPU, checked against the original.

    Give the folder to `--model` like any other model. Its vectors are compared with those of the
    original: the smallest cosine must be at least 0.999, or 0.99 with `--int8`; otherwise no
    folder is written.

    Examples:

        mm-milvus export compact --output compact-onnx
        mm-milvus export openai/clip-vit-base-patch32 --int8 --output clip-int8
        mm-milvus ingest ./photos --model clip-int8
    """
    from mm_milvus.exporting.export import export

    report = export(model, output, format=format, int8=int8)
    if as_json:
        print_json(report.to_dict())
        return
    kind = f"{report.format} int8" if report.int8 else report.format
    print(
        f"{report.folder}: {report.model} as {kind}, {report.bytes / 1e6:.1f} MB, "
        f"in {report.seconds:.1f} s"
    )
    print(
        f"smallest cosine to the original: images {report.image_cosine:.5f}, "
        f"texts {report.text_cosine:.5f}"
    )
    print(f"to use it: mm-milvus ingest PATH --model {report.folder}")
