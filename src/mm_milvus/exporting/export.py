"""Write an encoder to a folder of graphs, verified against the encoder that it was made from."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from tokenizers import Tokenizer

from mm_milvus.atomic import atomic_folder
from mm_milvus.choices import ExportFormat
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.exported.config import (
    TOKENIZER,
    WORDS,
    ExportedConfig,
    Padding,
    digest,
)
from mm_milvus.encoders.exported.tokens import FIELDS, GraphTokenizer
from mm_milvus.encoders.load import load_encoder
from mm_milvus.encoders.torch.encoder import Towers
from mm_milvus.encoders.torch.fingerprint import PROBE_TEXTS
from mm_milvus.encoders.torch.text_input import TextInput
from mm_milvus.errors import EncoderError, OptionError, OutputError
from mm_milvus.exporting.graphs import TextGraph, check_libraries, write_graph
from mm_milvus.exporting.parity import Parity, measure_parity

LEAST_COSINE, LEAST_COSINE_INT8 = 0.999, 0.99
"""The lowest cosine that an exported vector may have to the original's, without and with int8."""

TRACED_TEXTS = ("a photo of a red dress", "two")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The result of an export.

    Attributes:
        folder: The exported folder, a name for `load_encoder`.
        format: Format of the graphs.
        int8: Whether matrix products are quantised to 8 bits.
        model: The name of the exported encoder.
        fingerprint: The fingerprint of the exported folder, which differs from the original's.
        dim: Length of a vector.
        bytes: Size of all files.
        image_cosine: Lowest cosine of an image's vector to the original's.
        text_cosine: Lowest cosine of a text's vector to the original's.
        seconds: Duration of the export.
    """

    folder: str
    format: ExportFormat
    int8: bool
    model: str
    fingerprint: str
    dim: int
    bytes: int
    image_cosine: float
    text_cosine: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def export(
    model: str,
    output: Path | str,
    *,
    format: ExportFormat = "onnx",  # noqa: A002
    int8: bool = False,
) -> ExportReport:
    """Write an encoder to a folder of graphs that `load_encoder` takes.

    Before the folder appears, images and texts of many scripts are encoded one by one and in
    batches: each vector must have a cosine to the original's of at least 0.999, or 0.99 with
    `int8`.

    Args:
        model: What `load_encoder` takes: the bundled encoder, a model of the hub, or a folder.
        output: A new or empty folder; it appears complete, or not at all.
        format: "onnx", "openvino" or "torchscript".
        int8: Quantise matrix products to 8 bits; not for openvino.

    Raises:
        OptionError: When there is no such format, or it has no int8.
        MissingExtraError: When a library of the format is not installed.
        OutputError: When the output exists, or cannot be written.
        EncoderError: When the model cannot be loaded, has no torch modules, cannot be traced, or
            when its graphs give other vectors.
    """
    started = time.perf_counter()
    _check_format(format)
    check_libraries(format, int8=int8)
    output = Path(output)
    _check_output(output)
    encoder = load_encoder(model, device="cpu")
    towers = getattr(encoder, "towers", None)
    if not isinstance(towers, Towers):
        raise EncoderError(
            f"{model}: an encoder of {type(encoder).__module__} has no torch modules to export; "
            "choose compact, or a model of the hub"
        )
    with atomic_folder(output.absolute()) as folder:
        _write(folder, encoder, towers, format, int8=int8)
        parity = measure_parity(encoder, folder)
        _check_parity(model, format, parity, int8=int8)
        if output.exists():
            output.rmdir()
    return ExportReport(
        folder=str(output),
        format=format,
        int8=int8,
        model=encoder.spec.id,
        fingerprint=ExportedConfig.load(output).fingerprint,
        dim=encoder.spec.dim,
        bytes=sum(file.stat().st_size for file in output.iterdir()),
        image_cosine=round(parity.image, 6),
        text_cosine=round(parity.text, 6),
        seconds=round(time.perf_counter() - started, 3),
    )


def _check_format(name: str) -> None:
    if name not in get_args(ExportFormat):
        raise OptionError(
            f"`format` is {name}, and must be one of {', '.join(get_args(ExportFormat))}"
        )


def _check_output(output: Path) -> None:
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise OutputError(f"{output} already exists; remove it, or name another folder")


def _write(
    folder: Path, encoder: Encoder, towers: Towers, kind: ExportFormat, *, int8: bool
) -> None:
    """Fill a folder with both graphs, the tokenizer and the description."""
    text_input = towers.text_input
    fields = text_input.pad(text_input.tokenize(TRACED_TEXTS))
    padding = _padding(text_input, list(fields))
    _save_tokenizer(folder, encoder.spec.id, text_input, padding)
    shape = (2, towers.preprocessing.height, towers.preprocessing.width, 3)
    pixels = torch.arange(2 * shape[1] * shape[2] * 3).remainder(251).to(torch.uint8).view(shape)
    write_graph(towers.image, [pixels], [0], folder / "image", kind, int8=int8)
    write_graph(
        TextGraph(towers.text, list(fields)),
        list(fields.values()),
        [0] if text_input.padding == "max_length" else [0, 1],
        folder / "text",
        kind,
        int8=int8,
    )
    ExportedConfig(
        format=kind,
        int8=int8,
        origin=encoder.spec.id,
        origin_fingerprint=encoder.spec.fingerprint,
        dim=encoder.spec.dim,
        max_tokens=text_input.max_tokens,
        preprocessing=towers.preprocessing,
        padding=padding,
        files={file.name: digest(file) for file in sorted(folder.iterdir())},
        logit_scale=encoder.spec.logit_scale,
        logit_bias=encoder.spec.logit_bias,
    ).save(folder)


def _padding(text_input: TextInput, fields: list[str]) -> Padding:
    tokenizer = text_input.tokenizer
    fill = {
        "input_ids": tokenizer.pad_token_id,
        "attention_mask": 0,
        "token_type_ids": tokenizer.pad_token_type_id,
    }
    if unsupported := [field for field in fields if field not in FIELDS]:
        raise EncoderError(
            f"the text tower takes {unsupported[0]}, which an exported tokenizer does not give; "
            "this model cannot be exported"
        )
    return Padding(
        to=text_input.padding,
        side=tokenizer.padding_side,
        values={field: int(fill[field]) for field in fields},
    )


def _save_tokenizer(folder: Path, name: str, text_input: TextInput, padding: Padding) -> None:
    """Save the tokenizer, after checking that it gives the same tokens as the original."""
    backend = getattr(text_input.tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise EncoderError(
            f"{name}: its tokenizer ({type(text_input.tokenizer).__name__}) is not one of the "
            "tokenizers library, and cannot be exported; choose a model with a fast tokenizer, "
            "such as SigLIP 2 for SigLIP"
        )
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_padding()
    tokenizer.enable_truncation(
        text_input.max_tokens, direction=text_input.tokenizer.truncation_side
    )
    copy = GraphTokenizer(tokenizer, padding, text_input.max_tokens, text_input.spelling)
    for text in PROBE_TEXTS:
        expected = text_input.tokenize([text])[0]
        actual = copy.tokenize([text])[0]
        if any(list(FIELDS[field](actual)) != list(expected[field]) for field in padding.values):
            raise EncoderError(
                f"{name}: its tokenizer gives other tokens for {text[:20]!r} once it is saved to "
                "a file, so the model cannot be exported"
            )
    tokenizer.save(str(folder / TOKENIZER))
    if text_input.spelling is not None:
        words = "".join(f"{word}\n" for word in text_input.spelling.words)
        (folder / WORDS).write_text(words, encoding="utf-8")


def _check_parity(name: str, kind: ExportFormat, parity: Parity, *, int8: bool) -> None:
    least = LEAST_COSINE_INT8 if int8 else LEAST_COSINE
    worst = min(parity)
    if worst >= least:
        return
    what = "an image" if parity.image == worst else "a text"
    remedy = "export without `int8`" if int8 else "choose another `format`"
    raise EncoderError(
        f"{name}: not exported, since the {kind} graph's vector of {what} has a cosine of "
        f"{worst:.4f} to the original, under {least}; {remedy}"
    )
