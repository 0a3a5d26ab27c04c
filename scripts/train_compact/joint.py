"""The joint space that both towers are projected into."""

from __future__ import annotations

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding_bag, normalize

from mm_milvus.encoders.torch.efficientnet import FEATURES, EfficientNetLite0

from .text import DIM, flatten, token_ids

HIDDEN = 512
FEATURE_DROPOUT = 0.2


class Joint(nn.Module):
    """Projects image features (n, 1280) and summed token vectors (n, 256) into one space."""

    def __init__(
        self, network: EfficientNetLite0, tokens: np.ndarray, tokenizer: Tokenizer
    ) -> None:
        """Start from the unchanged text space; the image side is trained towards it."""
        super().__init__()
        self.network = network
        self.tokens = torch.from_numpy(tokens)
        self.tokenizer = tokenizer
        self.image = nn.Linear(FEATURES, DIM)
        self.linear = nn.Linear(DIM, DIM, bias=False)
        self.hidden = nn.Linear(DIM, HIDDEN)
        self.output = nn.Linear(HIDDEN, DIM)
        nn.init.eye_(self.linear.weight)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def images(self, features: Tensor) -> Tensor:
        """Return the unit vectors of image features."""
        kept = dropout(features, FEATURE_DROPOUT, self.training)
        return normalize(self.image(kept), dim=1)

    def texts(self, texts: list[str]) -> Tensor:
        """Return the unit vectors of texts."""
        flat, offsets = flatten(token_ids(self.tokenizer, texts))
        x = normalize(embedding_bag(flat, self.tokens, offsets, mode="sum"), dim=1)
        return normalize(self.linear(x) + self.output(self.hidden(x).relu()), dim=1)

    def centre(self, features: Tensor) -> None:
        """Set the bias so that the mean of the features is projected to the origin."""
        with torch.no_grad():
            self.image.bias.copy_(-(self.image.weight @ features.mean(0)))
