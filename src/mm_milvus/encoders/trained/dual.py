"""Encoders whose vector space was learned: a projection over the features of two frozen towers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from mm_milvus.encoders.base import DEFAULT_LOGIT_SCALE
from mm_milvus.encoders.snapshot import CONFIG, DUAL, broken_config
from mm_milvus.encoders.torch.device import torch_device
from mm_milvus.encoders.torch.encoder import ImageTower, TextTower, TorchEncoder, Towers
from mm_milvus.encoders.torch.fingerprint import fingerprint
from mm_milvus.encoders.trained.pair import Pair, load_pair
from mm_milvus.errors import EncoderError
from mm_milvus.text import first_line

WEIGHTS = "projection.safetensors"
TEMPERATURE = "temperature"


@dataclass(frozen=True, slots=True)
class ProjectionShape:
    """The sizes of a projection.

    Attributes:
        image: Length of the image tower's features.
        text: Length of the text tower's features.
        dim: Length of the vectors in the learned space.
        hidden: None for one linear layer per head; else the size of a hidden layer in each head,
            with ReLU, in front of a last layer that both heads share.
    """

    image: int
    text: int
    dim: int
    hidden: int | None = None


class ProjectionHead(nn.Module):
    """Maps features of one tower to vectors of the learned space, not yet of unit length.

    Features are first centred and scaled by the statistics of the training data: those of towers
    differ by orders of magnitude, and one learning rate has to suit both heads.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self, width: int, shape: ProjectionShape, last: nn.Linear | None, dropout: float
    ) -> None:
        """Build a head with random weights.

        Args:
            width: Length of the features.
            shape: The sizes of the projection.
            last: The layer that both heads share, or None.
            dropout: Share of features and hidden units that are zeroed in training.
        """
        super().__init__()
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(()))
        first = nn.Linear(width, shape.dim if last is None else last.in_features)
        rest = [] if last is None else [nn.ReLU(), nn.Dropout(dropout), last]
        self.layers = nn.Sequential(nn.Dropout(dropout), first, *rest)

    def fit_scale(self, features: Tensor) -> None:
        """Set centre and scale to the statistics of features (n, width)."""
        self.centre.copy_(features.mean(dim=0))
        self.scale.copy_((features - self.centre).square().mean().sqrt().clamp(min=1e-6))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, width) to (n, dim)."""
        rows: Tensor = self.layers((features.float() - self.centre) / self.scale)
        return rows


class Projection(nn.Module):
    """A head for each tower, into one vector space."""

    def __init__(self, shape: ProjectionShape, dropout: float = 0.0) -> None:
        """Build both heads with random weights, to be trained or replaced by saved ones."""
        super().__init__()
        self.shape = shape
        last = None if shape.hidden is None else nn.Linear(shape.hidden, shape.dim)
        self.image = ProjectionHead(shape.image, shape, last, dropout)
        self.text = ProjectionHead(shape.text, shape, last, dropout)


class ProjectedTower(nn.Module):
    """A tower, followed by its head of the projection."""

    def __init__(self, tower: nn.Module, head: ProjectionHead) -> None:
        """Combine a tower and a head that takes features of its length."""
        super().__init__()
        self.tower = tower
        self.head = head

    def forward(self, *args: Tensor, **fields: Tensor) -> Tensor:
        """Map the tower's input to (n, dim)."""
        rows: Tensor = self.head(self.tower(*args, **fields))
        return rows


def save_dual(folder: Path, pair: Pair, projection: Projection, temperature: float) -> None:
    """Fill an empty folder with a model that `load_dual` reads.

    Args:
        folder: An existing, empty folder.
        pair: The towers.
        projection: The trained projection.
        temperature: The temperature of its training.
    """
    pair.save(folder)
    save_model(projection, str(folder / WEIGHTS))
    config = {
        "kind": DUAL,
        "projection": asdict(projection.shape),
        "towers": pair.settings,
        TEMPERATURE: temperature,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_dual(
    name: str, folder: Path, *, device: str | None = None, batch_size: int | None = None
) -> TorchEncoder:
    """Load the encoder in a folder that `save_dual` wrote.

    Args:
        name: What `load_encoder` was given.
        folder: The folder of the model.
        device: As in `load_encoder`.
        batch_size: As in `load_encoder`.

    Raises:
        EncoderError: When its files are missing or broken, or the device cannot be used.
    """
    target = torch_device(device)
    config = _read_config(name, folder)
    # Removed from the config that is fingerprinted, since no vector depends on it. Folders of
    # older versions lack it.
    scale = 1 / config.pop(TEMPERATURE, 1 / DEFAULT_LOGIT_SCALE)
    pair = load_pair(folder, config["towers"], target)
    projection = Projection(ProjectionShape(**config["projection"]))
    try:
        load_model(projection, folder / WEIGHTS)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise EncoderError(
            f"{name}: {WEIGHTS} is missing or broken ({first_line(error)}); train the model again"
        ) from error
    projection = projection.to(target).eval()
    towers = Towers(
        image=ImageTower(
            ProjectedTower(pair.image, projection.image), pair.preprocessing, pair.cpu_piece
        ).to(target),
        text=TextTower(ProjectedTower(pair.text, projection.text)),
        text_input=pair.text_input,
        preprocessing=pair.preprocessing,
    )
    return TorchEncoder(
        name,
        towers,
        fingerprint=fingerprint(
            sorted(folder.rglob("*.safetensors")),
            [config, *pair.facts],
            pair.preprocessing,
            pair.text_input,
        ),
        logit_scale=scale,
        batch_size=batch_size,
    )


def _read_config(name: str, folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        ProjectionShape(**config["projection"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise broken_config(name, error) from error
    return config
