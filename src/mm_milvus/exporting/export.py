"""An encoder to a folder of graphs, checked against what it was made from."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from tokenizers import Tokenizer

from mm_milvus.choices import ExportFormat
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.exported.config import (
    TOKENIZER,
    WORDS,
    ExportedConfig,
    Padding,
    digest,
)
from mm_milvus.encoders.exported.tokens import FIELDS, Tokens
from mm_milvus.encoders.fingerprint import PROBE_TEXTS
from mm_milvus.encoders.load import load_encoder
from mm_milvus.encoders.torch.encoder import Towers
from mm_milvus.encoders.torch.text_input import TextInput
from mm_milvus.errors import EncoderError
from mm_milvus.exporting.check import Parity, measure
from mm_milvus.exporting.graphs import TextGraph, check_libraries, write_graph

LEAST_COSINE, LEAST_COSINE_INT8 = 0.999, 0.99
"""What an exported vector must have with the original's, at the worst."""

TRACED_TEXTS = ("a photo of a red dress", "two")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What `export` made.

    folder       what to give `load_encoder`
    bytes        of all its files
    image_cosine, text_cosine  the worst, to the original, of what was checked
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
        """The fields, ready for JSON."""
        return asdict(self)


def export(
    model: str,
    output: Path | str,
    *,
    format: str = "onnx",  # noqa: A002
    int8: bool = False,
) -> ExportReport:
    """Write an encoder to a folder that `load_encoder` takes, once its vectors are seen to agree.

    model   what `load_encoder` takes
    output  a folder that is not there, or empty; it appears whole, or not at all
    format  "onnx", "openvino" or "torchscript"
    int8    quantise matrix products (not for openvino)

    Pictures and texts of many scripts, one at a time and in batches, must have a cosine to the
    original's of `LEAST_COSINE` (`LEAST_COSINE_INT8`) at the least. Raises EncoderError.
    """
    started = time.perf_counter()
    kind = _format(format)
    check_libraries(kind, int8=int8)
    output = Path(output)
    _check_output(output)
    encoder = load_encoder(model, device="cpu")
    towers = getattr(encoder, "towers", None)
    if not isinstance(towers, Towers):
        raise EncoderError(
            f"{model}: an encoder of {type(encoder).__module__} has no torch modules to export; "
            "name compact, or a model of the hub"
        )
    with _appearing(output) as folder:
        _write(folder, encoder, towers, kind, int8=int8)
        parity = measure(encoder, folder)
        _judge(model, kind, parity, int8=int8)
    return ExportReport(
        folder=str(output),
        format=kind,
        int8=int8,
        model=encoder.spec.id,
        fingerprint=ExportedConfig.load(output).fingerprint,
        dim=encoder.spec.dim,
        bytes=sum(file.stat().st_size for file in output.iterdir()),
        image_cosine=round(parity.image, 6),
        text_cosine=round(parity.text, 6),
        seconds=round(time.perf_counter() - started, 3),
    )


def _format(name: str) -> ExportFormat:
    for known in get_args(ExportFormat):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise EncoderError(
        f"there is no format {name}; choose one of {', '.join(get_args(ExportFormat))}"
    )


def _check_output(output: Path) -> None:
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise EncoderError(f"{output}: it is there already; remove it, or name another folder")


@contextmanager
def _appearing(output: Path) -> Iterator[Path]:
    """A folder beside `output` that becomes it when the block ends well, and else is gone."""
    folder = output.absolute()
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    except OSError as error:
        raise EncoderError(f"{output}: cannot be written ({error.strerror})") from error
    try:
        yield partial
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(
    folder: Path, encoder: Encoder, towers: Towers, kind: ExportFormat, *, int8: bool
) -> None:
    text_input = towers.text_input
    fields = text_input.pad(text_input.tokens(TRACED_TEXTS))
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
    if unknown := [field for field in fields if field not in FIELDS]:
        raise EncoderError(
            f"the text tower takes {unknown[0]}, which an exported tokenizer does not give; "
            "this model cannot be exported"
        )
    return Padding(
        to=text_input.padding,
        side=tokenizer.padding_side,
        values={field: int(fill[field]) for field in fields},
    )


def _save_tokenizer(folder: Path, name: str, text_input: TextInput, padding: Padding) -> None:
    """Save the tokenizer, once it makes of texts what the original's does."""
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
    tokens = Tokens(tokenizer, padding, text_input.max_tokens, text_input.spelling)
    for text in PROBE_TEXTS:
        theirs = text_input.tokens([text])[0]
        ours = tokens.of([text])[0]
        if any(list(FIELDS[field](ours)) != list(theirs[field]) for field in padding.values):
            raise EncoderError(
                f"{name}: its tokenizer saved to a file reads {text[:20]!r} otherwise, "
                "so the model cannot be exported"
            )
    tokenizer.save(str(folder / TOKENIZER))
    if text_input.spelling is not None:
        words = "".join(f"{word}\n" for word in text_input.spelling.words)
        (folder / WORDS).write_text(words, encoding="utf-8")


def _judge(name: str, kind: ExportFormat, parity: Parity, *, int8: bool) -> None:
    least = LEAST_COSINE_INT8 if int8 else LEAST_COSINE
    worst = min(parity.image, parity.text)
    if worst >= least:
        return
    what = "a picture" if parity.image == worst else "a text"
    remedy = "export without --int8" if int8 else "choose another format"
    raise EncoderError(
        f"{name}: not exported, since the {kind} graph's vector of {what} has a cosine of "
        f"{worst:.4f} to the original, under {least}; {remedy}"
    )
