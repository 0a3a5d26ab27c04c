"""How good the joint space is, on pictures that were not trained on."""

from __future__ import annotations

import numpy as np
import torch
from tokenizers import Tokenizer

from .data import CLOTHES, VIEWS
from .features import Features
from .train import Joint, encode


def zero_shot(joint: Joint, tokenizer: Tokenizer, photos: Features) -> float:
    """The share of photos whose class is the nearest of `a photo of a {class}`."""
    prompts = [f"a photo of a {name}" for name in CLOTHES]
    with torch.inference_mode():
        images = joint.images(torch.from_numpy(photos.vectors[::VIEWS]))
        texts = joint.texts(encode(tokenizer, prompts))
    found = (images @ texts.T).argmax(1).tolist()
    names = list(CLOTHES)
    classes = [concept.split()[-1] for concept in photos.concepts[::VIEWS]]
    return float(np.mean([names[n] == c for n, c in zip(found, classes, strict=True)]))


def recall(
    joint: Joint, tokenizer: Tokenizer, emoji: Features, queries: list[str], top: int = 10
) -> float:
    """Text-to-image recall@top: the emoji among the nearest pictures to its query."""
    with torch.inference_mode():
        images = joint.images(torch.from_numpy(emoji.vectors))
        texts = joint.texts(encode(tokenizer, queries))
    scores = texts @ images.T
    own = scores.diagonal()[:, None]
    return float(((scores > own).sum(1) < top).float().mean())
