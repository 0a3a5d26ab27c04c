"""How to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from mm_milvus.choices import IMAGE_FIELD, LITE0, MINILM, Features, Pooling
from mm_milvus.errors import QueryError


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train.

    text_model     a sentence model: "all-minilm-l6-v2" of the extra `train`, a folder, a hub id
    image_model    an image classifier: "efficientnet-lite0" of that extra, a folder, a hub id
    clip           a CLIP-like model, folder or hub id, that gives both towers instead
    pooling        of the text model's states: "mean", "cls"; None: what the model tells
    features       of an image classifier: "pooled", or its "logits"
    unfreeze       train the whole CLIP model, and no projection
    dim            of the common space
    hidden         the units of a hidden layer with ReLU a side, in front of a last layer that
                   both sides share; 0: linear projections
    dropout        of features and hidden units (Srivastava et al., 2014)
    views          pictures made of each image: itself, and random crops and mirror images
    captions       which captions of an item an epoch sees: a random "one", or "all"
    document       the fields that make a document, with weights: `{"image": 0.7, "title": 0.3}`
    relevance      the metadata key whose number, not negative, weighs an item's pairs
    epochs         passes over the training items
    batch_size     pairs a step, each the others' negative
    micro_batch    pairs that go through the towers at once; the step's loss stays that of the
                   whole batch (only with unfreeze; None: all at once)
    checkpointing  compute activations again instead of keeping them (only with unfreeze)
    learning_rate  the highest, after the warm-up; None: 1e-3 for projections, 5e-6 with unfreeze
    weight_decay   of AdamW
    temperature    of the loss
    learn_temperature  learn it, from `temperature` on
    held_out       the shares of items for validation and test, where the source has no such split
    seed           of the split, the weights, the order
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
    captions: str = "one"
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
        """Refuse what makes no sense, with a `QueryError`."""
        least = {"dim": 2, "views": 1, "epochs": 1, "batch_size": 2, "micro_batch": 1, "hidden": 0}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise QueryError(f"{name} is {value}, and must be at least {bound}")
        for name in ("learning_rate", "temperature"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise QueryError(f"{name} is {value}, and must be above 0")
        choices = {
            "captions": ("one", "all"),
            "features": get_args(Features),
            "pooling": (None, *get_args(Pooling)),
        }
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known:
                allowed = " or ".join(each for each in known if each)
                raise QueryError(f"{name} is {value!r}, and must be {allowed}")
        if not 0 <= self.dropout < 1:
            raise QueryError(f"dropout is {self.dropout}, and must be from 0 to below 1")
        if min(self.held_out) < 0 or sum(self.held_out) >= 1:
            raise QueryError(
                f"held_out is {self.held_out}: two shares that leave items to train on"
            )
        if not self.document or any(not weight > 0 for weight in self.document.values()):
            raise QueryError(f"document is {dict(self.document)}: weights must be above 0")
        if self.unfreeze and self.clip is None:
            raise QueryError("unfreeze trains a CLIP model: name it with clip (--clip)")

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.learning_rate or (5e-6 if self.unfreeze else 1e-3)
