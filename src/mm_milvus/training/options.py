"""Options of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from mm_milvus.choices import IMAGE_FIELD, LITE0, MINILM, CaptionChoice, Features, Pooling
from mm_milvus.errors import OptionError

MINIMUMS = {"dim": 2, "views": 1, "epochs": 1, "batch_size": 2, "micro_batch": 1, "hidden": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """How to train.

    Attributes:
        text_model: A sentence model: `all-minilm-l6-v2` from the extra `train`, a folder, or a hub
            id.
        image_model: An image classifier: `efficientnet-lite0` from the extra `train`, a folder, or
            a hub id.
        clip: A CLIP-like model, a folder or hub id, that provides both towers instead.
        pooling: Pooling of the text model's token states (default: from its config).
        features: Features of the image classifier: the input of its last layer (`pooled`), or its
            `logits`.
        unfreeze: Train all weights of the CLIP model, instead of a projection.
        dim: Dimension of the trained vectors.
        hidden: Units of a hidden layer with ReLU on each side, in front of an output layer that
            both sides share; 0: one linear projection per side.
        dropout: Dropout of features and hidden units, 0 to below 1 (Srivastava et al., 2014).
        views: Pictures made of each image: the image itself, and random crops and mirror images.
        captions: Captions of an item that an epoch sees: a random `one`, or `all`.
        document: Weights of the fields of an item's vector: `{"image": 0.7, "title": 0.3}`
            (default: its image alone).
        relevance: Metadata key with a number, 0 or greater, that weights the pairs of an item.
        epochs: Passes over the training items.
        batch_size: Pairs per step; each is a negative example of all others.
        micro_batch: Pairs that go through the towers together with `unfreeze`; the loss stays that
            of the whole batch (default: the whole batch).
        checkpointing: Compute activations again instead of keeping them, with `unfreeze`: less
            memory, a third slower.
        learning_rate: Highest learning rate, after the warm-up (default: 1e-3, or 5e-6 with
            `unfreeze`).
        weight_decay: Weight decay of AdamW.
        temperature: Temperature of the loss, above 0.
        learn_temperature: Train the temperature too, starting from `temperature`.
        held_out: Shares of the items for validation and for test, each 0 to 1. Neither is taken
            where a dataset for validation is named.
        seed: Seed of the split, the initial weights and the order of the pairs.
    """

    text_model: str = MINILM
    image_model: str = LITE0
    clip: str | None = None
    pooling: Pooling | None = None
    features: Features = "pooled"
    unfreeze: bool = False
    dim: int = 256
    hidden: int = 1024
    dropout: float = 0.5
    views: int = 2
    captions: CaptionChoice = "one"
    document: Mapping[str, float] = field(default_factory=lambda: {IMAGE_FIELD: 1.0})
    relevance: str | None = None
    epochs: int = 30
    batch_size: int = 512
    micro_batch: int | None = None
    checkpointing: bool = False
    learning_rate: float | None = None
    weight_decay: float = 0.05
    temperature: float = 0.07
    learn_temperature: bool = False
    held_out: tuple[float, float] = (0.1, 0.1)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values; raise OptionError."""
        for name, minimum in MINIMUMS.items():
            value = getattr(self, name)
            if value is not None and value < minimum:
                raise OptionError(f"`{name}` is {value}, and must be at least {minimum}")
        for name in ("learning_rate", "temperature"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"`{name}` is {value}, and must be above 0")
        choices = {
            "captions": get_args(CaptionChoice),
            "features": get_args(Features),
            "pooling": (None, *get_args(Pooling)),
        }
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                names = " or ".join(choice for choice in allowed if choice)
                raise OptionError(f"`{name}` is {value!r}, and must be {names}")
        if not 0 <= self.dropout < 1:
            raise OptionError(f"`dropout` is {self.dropout}, and must be from 0 to below 1")
        if min(self.held_out) < 0 or sum(self.held_out) >= 1:
            raise OptionError(
                f"`held_out` is {self.held_out}: give two shares that leave items to train on"
            )
        if not self.document or any(not weight > 0 for weight in self.document.values()):
            raise OptionError(f"`document` is {dict(self.document)}: weights must be above 0")
        if self.unfreeze and self.clip is None:
            raise OptionError("`unfreeze` trains a CLIP model: name it (`clip`)")

    @property
    def rate(self) -> float:
        """The learning rate: `learning_rate`, or its default."""
        return self.learning_rate or (5e-6 if self.unfreeze else 1e-3)
