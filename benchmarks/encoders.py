"""Speed of an encoder on this CPU by runtime: a Markdown table for each model.

    OMP_NUM_THREADS=1 python benchmarks/encoders.py [compact] [vit-b-32]

`vit-b-32` is a CLIP of that size with random weights, which run at the speed of trained ones. The
variants are interleaved, round after round, and the best round of each counts, because other
programs may use the machine. There, one thread is the better measure, since torch waits for the
slowest thread at every step. Ratios are relative to plain torch (fp32 eager) in the same run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.figures import seconds
from mm_milvus.bundled import example_pictures
from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.load import load_encoder
from mm_milvus.encoders.torch.encoder import TorchEncoder, Towers
from mm_milvus.errors import EncoderError
from mm_milvus.exporting.export import export
from mm_milvus.images.decoding import load_pixels

IMAGES, TEXTS = 32, 128
WORDS = (
    "red",
    "blue",
    "dress",
    "shoe",
    "cat",
    "dog",
    "on",
    "the",
    "table",
    "with",
    "photo",
    "city",
)
FORMATS = [("onnx", False), ("onnx", True), ("openvino", False), ("torchscript", False)]
FORMATS += [("torchscript", True)]


@dataclass
class Variant:
    """A way to run a model, and its best times so far in seconds.

    Attributes:
        name: Shown in the table.
        encoder: Runs the model.
        images: Best time for all images.
        texts: Best time for all texts.
        text: Best time for one text.
    """

    name: str
    encoder: Encoder
    images: float = float("inf")
    texts: float = float("inf")
    text: float = float("inf")

    def time(self, pixels: np.ndarray, texts: list[str]) -> None:
        """Run one round."""
        encode = self.encoder
        self.images = min(self.images, seconds(lambda: encode.encode_images(pixels)))
        self.texts = min(self.texts, seconds(lambda: encode.encode_texts(texts)))
        for text in texts[:5]:
            self.text = min(self.text, seconds(partial(encode.encode_texts, [text])))


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["compact", "vit-b-32"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-compile", action="store_true", help="torch.compile takes minutes")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            measure(model, Path(folder), arguments.rounds, compiled=not arguments.no_compile)


def measure(model: str, folder: Path, rounds: int, *, compiled: bool) -> None:
    """Measure a model in all variants and print its table."""
    name = build_clip(folder / "clip") if model == "vit-b-32" else model
    original = load_encoder(name, device="cpu")
    pixels, texts = inputs(original)
    variants = list(torch_variants(name, original, compiled=compiled)) + exported_variants(
        name, folder
    )
    expected = original.encode_images(pixels), original.encode_texts(texts)
    for _ in range(rounds):
        for variant in variants:
            variant.time(pixels, texts)
    plain = next(variant for variant in variants if variant.name == "fp32 eager")
    print(f"\n### {model}\n")
    print("| variant | images/s | ratio | texts/s | ratio | one text, ms | lowest cosine |")
    print("|---|---|---|---|---|---|---|")
    for variant in variants:
        vectors = variant.encoder.encode_images(pixels), variant.encoder.encode_texts(texts)
        cosine = min((a * b).sum(1).min() for a, b in zip(expected, vectors, strict=True))
        print(
            f"| {variant.name} "
            f"| {len(pixels) / variant.images:,.0f} | {plain.images / variant.images:.2f} "
            f"| {len(texts) / variant.texts:,.0f} | {plain.texts / variant.texts:.2f} "
            f"| {1000 * variant.text:.2f} | {cosine:.4f} |"
        )


def torch_variants(name: str, original: Encoder, *, compiled: bool) -> list[Variant]:
    """Build the variants of torch itself, each from newly loaded towers."""

    def towers() -> Towers:
        return original.towers if name == "compact" else load_encoder(name, device="cpu").towers

    def encoder(of: Towers) -> TorchEncoder:
        return TorchEncoder(name, of, fingerprint="0" * 16)

    last = towers()
    last.image.to(memory_format=torch.channels_last)
    half = towers()
    half.image.features.bfloat16()
    if name != "compact":  # the text tower of compact is a table of int8
        half.text.features.bfloat16()
    variants = [
        Variant("fp32 eager", encoder(towers())),
        Variant("fp32 eager, weights channels_last", encoder(last)),
        Variant("bf16 weights", encoder(half)),
    ]
    if name == "compact":
        variants.insert(0, Variant("as loaded by default", original))
    if compiled:
        plain = towers()
        fast = replace(
            plain,
            image=_CompiledTower(torch.compile(plain.image), plain.image),
            text=torch.compile(plain.text, dynamic=True),
        )
        variants.append(Variant("torch.compile", encoder(fast)))
    return variants


class _CompiledTower:
    """A compiled image tower with the buffer that an encoder takes its device from."""

    def __init__(self, call: Callable[..., torch.Tensor], tower: torch.nn.Module) -> None:
        self._call, self.mean = call, tower.mean

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._call(pixels)


def exported_variants(name: str, folder: Path) -> list[Variant]:
    """Export the model to every format that it supports, and load it."""
    variants = []
    for kind, int8 in FORMATS:
        label = f"{kind} int8" if int8 else kind
        try:
            report = export(name, folder / label, format=kind, int8=int8)
        except EncoderError as error:
            print(f"{label}: {error}")
            continue
        variants.append(Variant(label, load_encoder(report.folder)))
    return variants


def inputs(encoder: Encoder) -> tuple[np.ndarray, list[str]]:
    """Return decoded pictures of the example, and captions of 3 to 14 words."""
    files = sorted((example_pictures() / "images").glob("*.png"))[:IMAGES]
    pixels = [load_pixels(file.read_bytes(), encoder.spec.preprocessing) for file in files]
    random = np.random.default_rng(0)
    lengths = random.integers(3, 15, TEXTS)
    return np.stack(pixels), [" ".join(random.choice(WORDS, length)) for length in lengths]


def build_clip(folder: Path) -> str:
    """Save a CLIP ViT-B/32 with random weights and a tokenizer of `WORDS`; return its folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        PreTrainedTokenizerFast,
    )

    torch.manual_seed(0)
    config = CLIPConfig()
    start, end = config.text_config.vocab_size - 2, config.text_config.vocab_size - 1
    config.text_config.bos_token_id, config.text_config.eos_token_id = start, end
    CLIPModel(config).save_pretrained(folder)
    vocabulary = {word: token for token, word in enumerate(["<unk>", *WORDS])}
    vocabulary |= {"<start>": start, "<end>": end}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", start), ("<end>", end)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<end>", unk_token="<unk>", model_max_length=77
    )
    wrapped.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    return str(folder)


if __name__ == "__main__":
    main()
