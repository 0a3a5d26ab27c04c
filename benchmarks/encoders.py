"""How fast an encoder runs on this CPU, by what runs it: a Markdown table for each model.

    OMP_NUM_THREADS=1 python benchmarks/encoders.py [compact] [vit-b-32]

`vit-b-32` is a CLIP of that size with random weights, which run at the speed of trained ones. The
ways are run in turns, round after round, and the best round of each counts: others may be at work
on the machine. There, one thread tells more, since torch waits for the slowest at every step.
Ratios are to plain torch (fp32 eager) in the same run.
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
from mm_milvus.images.decode import load_pixels

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
class Way:
    """A way to run a model, and its best times in seconds."""

    name: str
    encoder: Encoder
    images: float = float("inf")
    texts: float = float("inf")
    text: float = float("inf")

    def time(self, pixels: np.ndarray, texts: list[str]) -> None:
        """One round."""
        encode = self.encoder
        self.images = min(self.images, seconds(lambda: encode.encode_images(pixels)))
        self.texts = min(self.texts, seconds(lambda: encode.encode_texts(texts)))
        for text in texts[:5]:
            self.text = min(self.text, seconds(partial(encode.encode_texts, [text])))


def main() -> None:
    """Measure and print."""
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
    """Print the table of a model."""
    name = build_clip(folder / "clip") if model == "vit-b-32" else model
    original = load_encoder(name, device="cpu")
    pixels, texts = inputs(original)
    ways = list(torch_ways(name, original, compiled=compiled)) + exported_ways(name, folder)
    expected = original.encode_images(pixels), original.encode_texts(texts)
    for _ in range(rounds):
        for way in ways:
            way.time(pixels, texts)
    plain = next(way for way in ways if way.name == "fp32 eager")
    print(f"\n### {model}\n")
    print("| way | images/s | ratio | texts/s | ratio | one text, ms | least cosine |")
    print("|---|---|---|---|---|---|---|")
    for way in ways:
        found = way.encoder.encode_images(pixels), way.encoder.encode_texts(texts)
        cosine = min((a * b).sum(1).min() for a, b in zip(expected, found, strict=True))
        print(
            f"| {way.name} | {len(pixels) / way.images:,.0f} | {plain.images / way.images:.2f} "
            f"| {len(texts) / way.texts:,.0f} | {plain.texts / way.texts:.2f} "
            f"| {1000 * way.text:.2f} | {cosine:.4f} |"
        )


def torch_ways(name: str, original: Encoder, *, compiled: bool) -> list[Way]:
    """What torch itself can do, from fresh towers each."""

    def towers() -> Towers:
        return original.towers if name == "compact" else load_encoder(name, device="cpu").towers

    def encoder(of: Towers) -> TorchEncoder:
        return TorchEncoder(name, of, fingerprint="0" * 16)

    last = towers()
    last.image.to(memory_format=torch.channels_last)
    half = towers()
    half.image.features.bfloat16()
    if name != "compact":  # its text tower is a table of int8
        half.text.features.bfloat16()
    ways = [
        Way("fp32 eager", encoder(towers())),
        Way("fp32 eager, weights channels_last", encoder(last)),
        Way("bf16 weights", encoder(half)),
    ]
    if name == "compact":
        ways.insert(0, Way("as it is loaded", original))
    if compiled:
        plain = towers()
        fast = replace(
            plain,
            image=_Like(torch.compile(plain.image), plain.image),
            text=torch.compile(plain.text, dynamic=True),
        )
        ways.append(Way("torch.compile", encoder(fast)))
    return ways


class _Like:
    """A compiled image tower with the buffer that an encoder asks for its device."""

    def __init__(self, call: Callable[..., torch.Tensor], tower: torch.nn.Module) -> None:
        self._call, self.mean = call, tower.mean

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._call(pixels)


def exported_ways(name: str, folder: Path) -> list[Way]:
    """Each format that the model has."""
    ways = []
    for kind, int8 in FORMATS:
        label = f"{kind} int8" if int8 else kind
        try:
            report = export.export(name, folder / label, format=kind, int8=int8)
        except EncoderError as error:
            print(f"{label}: {error}")
            continue
        ways.append(Way(label, load_encoder(report.folder)))
    return ways


def inputs(encoder: Encoder) -> tuple[np.ndarray, list[str]]:
    """Bundled pictures, and captions of 3 to 14 words."""
    files = sorted((example_pictures() / "images").glob("*.png"))[:IMAGES]
    pixels = [load_pixels(file.read_bytes(), encoder.spec.preprocessing) for file in files]
    random = np.random.default_rng(0)
    lengths = random.integers(3, 15, TEXTS)
    return np.stack(pixels), [" ".join(random.choice(WORDS, length)) for length in lengths]


def build_clip(folder: Path) -> str:
    """A CLIP ViT-B/32 with random weights, and a tokenizer of the benchmark's words."""
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
    vocabulary = {word: place for place, word in enumerate(["<unk>", *WORDS])}
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
