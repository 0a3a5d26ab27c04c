"""The bundled encoder as two torch modules, for export and for training on top of it."""

from __future__ import annotations

import json

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from mm_milvus.encoders.spelling import Spelling
from mm_milvus.encoders.torch.efficientnet import CPU_PIECE, EfficientNetLite0
from mm_milvus.encoders.torch.encoder import ImageTower, TextTower, Towers
from mm_milvus.encoders.torch.text_input import TextInput
from mm_milvus.images.preprocessing import Preprocessing

Weights = dict[str, NDArray[np.generic]]


def towers_of(
    weights: Weights,
    tokenizer_json: str,
    spelling: Spelling,
    preprocessing: Preprocessing,
    max_tokens: int,
) -> Towers:
    """Build both towers on the CPU; their vectors equal `CompactEncoder`'s to 1e-6.

    Args:
        weights: The tensors of compact.safetensors.
        tokenizer_json: The file of the `tokenizers` library.
        spelling: Corrects texts before they are tokenized.
        preprocessing: How images become pixels.
        max_tokens: Texts are truncated to this number of tokens.
    """
    text = {name: torch.tensor(value) for name, value in _part(weights, "text.")}
    return Towers(
        image=image_tower(weights, preprocessing),
        text=TextTower(TextFeatures(text)).eval(),
        text_input=_text_input(tokenizer_json, spelling, max_tokens),
        preprocessing=preprocessing,
    )


def image_tower(weights: Weights, preprocessing: Preprocessing) -> ImageTower:
    """Build the image tower on the CPU from the tensors of compact.safetensors."""
    image = {name: torch.tensor(value).float() for name, value in _part(weights, "image.")}
    return ImageTower(ImageFeatures(image), preprocessing, CPU_PIECE).eval()


class ImageFeatures(nn.Module):
    """EfficientNet-Lite0, followed by a linear projection."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        """Load the weights of the network, and projection.weight and projection.bias."""
        super().__init__()
        projection = {
            name: weights.pop(f"projection.{name}").contiguous() for name in ("weight", "bias")
        }
        outputs, inputs = projection["weight"].shape
        self.network = EfficientNetLite0()
        self.network.load_state_dict(weights)
        self.projection = nn.Linear(inputs, outputs)
        self.projection.load_state_dict(projection)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map normalised pixels (n, 3, height, width) to (n, dim)."""
        rows: Tensor = self.projection(self.network(pixels))
        return rows


class TextFeatures(nn.Module):
    """The sum of static token vectors, through a small network."""

    tokens: Tensor
    scales: Tensor

    def __init__(self, weights: dict[str, Tensor]) -> None:
        """Load the table `tokens`, int8, the `scales` of its rows, and the layers."""
        super().__init__()
        for name in ("tokens", "scales"):
            self.register_buffer(name, weights[name])
        self.hidden = _layer(weights, "hidden")
        self.output = _layer(weights, "output")
        self.linear = _layer(weights, "linear")

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map tokens (n, tokens) to (n, dim), also for a text without a token."""
        scales = self.scales[input_ids].float() * attention_mask
        sums = (self.tokens[input_ids].float() * scales[..., None]).sum(dim=1)
        x = normalize(sums, dim=-1)
        rows: Tensor = self.linear(x) + self.output(relu(self.hidden(x)))
        return rows


def _layer(weights: dict[str, Tensor], name: str) -> nn.Linear:
    weight, bias = weights[f"{name}.weight"].float(), weights.get(f"{name}.bias")
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    state = {"weight": weight} if bias is None else {"weight": weight, "bias": bias.float()}
    layer.load_state_dict(state)
    return layer


def _text_input(tokenizer_json: str, spelling: Spelling, max_tokens: int) -> TextInput:
    from transformers import PreTrainedTokenizerFast

    document = json.loads(tokenizer_json)
    document["post_processor"] = None  # It would add special tokens, which compact does not use.
    tokenizer = Tokenizer.from_str(json.dumps(document))
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token=tokenizer.id_to_token(0)
    )
    return TextInput(
        tokenizer=wrapped,
        padding="longest",
        max_tokens=max_tokens,
        accepts=frozenset({"input_ids", "attention_mask"}),
        spelling=spelling,
    )


def _part(weights: Weights, prefix: str) -> list[tuple[str, NDArray[np.generic]]]:
    return [(k.removeprefix(prefix), v) for k, v in weights.items() if k.startswith(prefix)]
