"""mm-milvus export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mm_milvus.cli.options import Json


def export(
    model: Annotated[
        str, typer.Argument(help="compact, a CLIP-like model by hub id, or a folder of a model.")
    ],
    output: Annotated[Path, typer.Option(help="The folder to make; it must not be there yet.")],
    format: Annotated[  # noqa: A002
        str, typer.Option(help="onnx, openvino or torchscript.")
    ] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise matrix products (onnx, torchscript).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write an encoder as graphs that run fast on a CPU, checked against the original.

    Give the folder to --model like any other. Its vectors were compared with the original's: a
    cosine of 0.999 at the worst, or 0.99 with --int8, else there is no folder.

    **Examples**

        mm-milvus export compact --output compact-onnx

        mm-milvus export laion/CLIP-ViT-B-32-laion2B-s34B-b79K --int8 --output clip-int8

        mm-milvus ingest ./photos --model clip-int8
    """
    from mm_milvus.exporting.export import export as run

    report = run(model, output, format=format, int8=int8)
    if as_json:
        print(json.dumps(report.to_dict(), ensure_ascii=False))
        return
    kind = f"{report.format} int8" if report.int8 else report.format
    print(
        f"{report.folder}: {report.model} as {kind}, {report.bytes / 1e6:.1f} MB, "
        f"in {report.seconds:.1f} s"
    )
    print(
        f"least cosine to the original: images {report.image_cosine:.5f}, "
        f"texts {report.text_cosine:.5f}"
    )
    print(f"use it: mm-milvus ingest PATH --model {report.folder}")
