"""The joint space: projections of both towers, trained contrastively."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, normalize

from .features import Features
from .text import DIM, flatten

HIDDEN = 512
STEPS = 3000
BATCH = 768
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.05
TEMPERATURE = 0.07
FEATURE_DROPOUT = 0.2
TEMPLATES = ("{}", "{}", "{}", "a photo of a {}", "a picture of {}", "{} on a white background")


class Joint(nn.Module):
    """Image features (n, 1280) and summed token vectors (n, 256) into one space."""

    def __init__(self, tokens: np.ndarray) -> None:
        """Begin with the text space as it is: the image side comes to it."""
        super().__init__()
        self.tokens = torch.from_numpy(tokens)
        self.image = nn.Linear(1280, DIM)
        self.linear = nn.Linear(DIM, DIM, bias=False)
        self.hidden = nn.Linear(DIM, HIDDEN)
        self.output = nn.Linear(HIDDEN, DIM)
        nn.init.eye_(self.linear.weight)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def images(self, features: Tensor) -> Tensor:
        """Unit vectors of images."""
        return normalize(self.image(features), dim=1)

    def texts(self, ids: list[list[int]]) -> Tensor:
        """Unit vectors of texts."""
        flat, offsets = flatten(ids)
        x = normalize(embedding_bag(flat, self.tokens, offsets, mode="sum"), dim=1)
        return normalize(self.linear(x) + self.output(self.hidden(x).relu()), dim=1)


@dataclass(frozen=True)
class Corpus:
    """All that is trained on; each domain has an equal chance in a batch, but for its weight."""

    vectors: Tensor
    texts: list[list[str]]
    concepts: list[str]
    chances: Tensor


def corpus(domains: list[tuple[float, Features]]) -> Corpus:
    """One corpus of several domains, each drawn from with its weight."""
    chances = [torch.full((len(f.texts),), w / len(f.texts)) for w, f in domains]
    return Corpus(
        torch.from_numpy(np.concatenate([f.vectors for _, f in domains])),
        [texts for _, f in domains for texts in f.texts],
        [concept for _, f in domains for concept in f.concepts],
        torch.cat(chances),
    )


def class_features(
    weights: dict[str, Tensor], like: np.ndarray, names: list[list[str]]
) -> Features:
    """Each ImageNet class as its classifier row, moved to where real features lie.

    A linear classifier's row is the direction in which its class's features stand out: added to
    the mean of real features, at their own distance from it, it stands for a picture of the class.
    """
    rows = weights["_fc.weight"].numpy()
    rows = rows - rows.mean(0)
    mean = like.mean(0)
    radius = np.linalg.norm(like - mean, axis=1).mean()
    vectors = mean + radius * rows / np.linalg.norm(rows, axis=1, keepdims=True)
    concepts = [f"imagenet {number}" for number in range(len(rows))]
    return Features(np.maximum(vectors, 0).astype(np.float32), names, concepts)


def train(data: Corpus, tokens: np.ndarray, tokenizer: Tokenizer, seed: int) -> Joint:
    """Symmetric InfoNCE; a pair of the same concept, or with the same text, is no negative."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    joint = Joint(tokens)
    centre(joint, data.vectors)
    optimiser = torch.optim.AdamW(joint.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=STEPS)
    for step in range(STEPS):
        chosen = torch.multinomial(data.chances, BATCH).tolist()
        texts = [_phrase(data.texts[n], rng) for n in chosen]
        features = nn.functional.dropout(data.vectors[chosen], FEATURE_DROPOUT)
        images = joint.images(features)
        captions = joint.texts(encode(tokenizer, texts))
        same = _same([data.concepts[n] for n in chosen]) | _same(texts)
        loss = contrast(images @ captions.T / TEMPERATURE, same)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 0:
            print(f"joint, step {step} of {STEPS}: loss {loss.item():.3f}", flush=True)
    return joint.eval()


def centre(joint: Joint, vectors: Tensor) -> None:
    """Start with the mean of the features at the origin."""
    with torch.no_grad():
        joint.image.bias.copy_(-(joint.image.weight @ vectors.mean(0)))


def contrast(logits: Tensor, same: Tensor) -> Tensor:
    """The mean cross-entropy of both directions, false negatives masked out."""
    masked = logits.masked_fill(same & ~torch.eye(len(logits), dtype=torch.bool), -torch.inf)
    target = torch.arange(len(logits))
    loss = nn.functional.cross_entropy
    return (loss(masked, target) + loss(masked.T, target)) / 2


def encode(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Token ids without special tokens."""
    return [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]


def _phrase(texts: list[str], rng: random.Random) -> str:
    """The name or another text of a picture, at times two of them, at times in a sentence."""
    text = texts[0] if rng.random() < 0.4 else rng.choice(texts)
    if rng.random() < 0.15:
        text = f"{text}, {rng.choice(texts)}"
    return rng.choice(TEMPLATES).format(text)


def _same(keys: list[Any]) -> Tensor:
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    column = torch.tensor([numbers[key] for key in keys])
    return column[:, None] == column[None, :]
