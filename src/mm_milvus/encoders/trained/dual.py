"""Encoders whose common space was learned: a projection over the features of two frozen towers."""

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
from mm_milvus.encoders.fingerprint import fingerprint
from mm_milvus.encoders.folder import CONFIG, DUAL
from mm_milvus.encoders.torch.encoder import (
    ImageTower,
    TextTower,
    TorchEncoder,
    Towers,
    torch_device,
)
from mm_milvus.encoders.trained.pair import Pair, load_pair
from mm_milvus.errors import EncoderError
from mm_milvus.text import first_line

WEIGHTS = "projection.safetensors"
TEMPERATURE = "temperature"


@dataclass(frozen=True, slots=True)
class ProjectionShape:
    """The sizes of a projection.

    image, text  how long the towers' features are
    dim          how long the vectors of the common space are
    hidden       None: one linear layer a side; else the size of a hidden layer a side, with ReLU,
                 in front of one last layer that both sides share
    """

    image: int
    text: int
    dim: int
    hidden: int | None = None


class Side(nn.Module):
    """Features of one tower to vectors of the common space, not yet of unit length.

    Features are centred and scaled first, as those of the training data were found to lie: towers
    differ by orders of magnitude, and one learning rate is to fit both.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self, width: int, shape: ProjectionShape, last: nn.Linear | None, dropout: float
    ) -> None:
        """`last` is the shared layer, if there is one; dropout works in training alone."""
        super().__init__()
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(()))
        first = nn.Linear(width, shape.dim if last is None else last.in_features)
        rest = [] if last is None else [nn.ReLU(), nn.Dropout(dropout), last]
        self.layers = nn.Sequential(nn.Dropout(dropout), first, *rest)

    def fit_scale(self, features: Tensor) -> None:
        """Centre and scale as these features (n, width) lie."""
        self.centre.copy_(features.mean(dim=0))
        self.scale.copy_((features - self.centre).square().mean().sqrt().clamp(min=1e-6))

    def forward(self, features: Tensor) -> Tensor:
        """Map (n, width) to (n, dim)."""
        rows: Tensor = self.layers((features.float() - self.centre) / self.scale)
        return rows


class Projection(nn.Module):
    """Both sides."""

    def __init__(self, shape: ProjectionShape, dropout: float = 0.0) -> None:
        """Random weights: they are trained, or loaded."""
        super().__init__()
        self.shape = shape
        last = None if shape.hidden is None else nn.Linear(shape.hidden, shape.dim)
        self.image = Side(shape.image, shape, last, dropout)
        self.text = Side(shape.text, shape, last, dropout)


class Projected(nn.Module):
    """A tower and its side of the projection."""

    def __init__(self, tower: nn.Module, side: Side) -> None:
        """The tower's features are as long as the side takes them."""
        super().__init__()
        self.tower = tower
        self.side = side

    def forward(self, *args: Tensor, **fields: Tensor) -> Tensor:
        """Map the tower's input to (n, dim)."""
        rows: Tensor = self.side(self.tower(*args, **fields))
        return rows


def save_dual(folder: Path, pair: Pair, projection: Projection, temperature: float) -> None:
    """Write a folder, which is there and empty, that `load_dual` reads.

    temperature  that the projection was trained at
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
    """The encoder in a folder that `save_dual` wrote; device and batch_size as `load_encoder`'s.

    Raises EncoderError.
    """
    where = torch_device(device)
    config = _read_config(name, folder)
    # Not in the fingerprint: no vector depends on it. Folders of before do not tell it.
    scale = 1 / config.pop(TEMPERATURE, 1 / DEFAULT_LOGIT_SCALE)
    pair = load_pair(folder, config["towers"], where)
    projection = Projection(ProjectionShape(**config["projection"]))
    try:
        load_model(projection, folder / WEIGHTS)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise EncoderError(
            f"{name}: {WEIGHTS} is missing or broken ({first_line(error)}); train the model again"
        ) from error
    projection = projection.to(where).eval()
    towers = Towers(
        image=ImageTower(
            Projected(pair.image, projection.image), pair.preprocessing, pair.cpu_piece
        ).to(where),
        text=TextTower(Projected(pair.text, projection.text)),
        text_input=pair.text_input,
        preprocessing=pair.preprocessing,
    )
    mark = fingerprint(
        sorted(folder.rglob("*.safetensors")),
        [config, *pair.facts],
        pair.preprocessing,
        pair.text_input,
    )
    return TorchEncoder(name, towers, fingerprint=mark, logit_scale=scale, batch_size=batch_size)


def _read_config(name: str, folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        ProjectionShape(**config["projection"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(
            f"{name}: {CONFIG} is broken ({type(error).__name__}: {first_line(error)}); "
            "train the model again"
        ) from error
    return config
