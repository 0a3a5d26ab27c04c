"""The hub encoder: models of the CLIP family, run through transformers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mm_milvus.encoders.fingerprint import fingerprint
from mm_milvus.encoders.processor import preprocessing_of
from mm_milvus.encoders.snapshot import first_line, quiet, weight_files
from mm_milvus.encoders.text import PADS_TO_MAX_LENGTH, TextInput, max_tokens_of
from mm_milvus.encoders.torch_encoder import (
    ImageTower,
    TextTower,
    TorchEncoder,
    Towers,
    best_dtype,
    torch_device,
)
from mm_milvus.errors import EncoderError


def load_hub(
    name: str, folder: Path, *, device: str | None = None, batch_size: int | None = None
) -> TorchEncoder:
    """The encoder of any transformers model with get_image_features and get_text_features.

    folder  a folder that `find_model` gave for `name`

    On a GPU weights and activations are bfloat16 where it has that type, else float32; on a CPU
    float32. device and batch_size are those of `load_encoder`. Raises EncoderError where the
    model does not embed images and texts into one space, where its preprocessing is not one that
    `load_pixels` does, or where its files are broken.
    """
    where = torch_device(device)
    with loading(name):
        parts = _load(name, folder, best_dtype(where))
        model = parts.model.to(where)
        text_input = _text_input(model, parts.tokenizer)
        preprocessing = preprocessing_of(parts.processor, name)
        towers = Towers(
            image=ImageTower(ImageFeatures(model), preprocessing).to(where),
            text=TextTower(TextFeatures(model)),
            text_input=text_input,
            preprocessing=preprocessing,
        )
        mark = fingerprint(weight_files(folder, name), model.config, preprocessing, text_input)
        return TorchEncoder(name, towers, fingerprint=mark, batch_size=batch_size)


class ImageFeatures(nn.Module):
    """The image half of a model of the CLIP family."""

    def __init__(self, model: Any) -> None:
        """`model` has get_image_features."""
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Map normalised pixels (n, 3, height, width) to (n, dim)."""
        return _rows(self.model.get_image_features(pixel_values=pixels))


class TextFeatures(nn.Module):
    """The text half of a model of the CLIP family."""

    def __init__(self, model: Any) -> None:
        """`model` has get_text_features."""
        super().__init__()
        self.model = model

    def forward(self, **tokens: Tensor) -> Tensor:
        """Map fields of tokens (n, tokens) to (n, dim)."""
        return _rows(self.model.get_text_features(**tokens))


def _rows(features: Any) -> Tensor:
    """The rows, from the tensor or the output object of transformers 5."""
    rows: Tensor = getattr(features, "pooler_output", features)
    return rows


class _Parts(NamedTuple):
    model: Any
    tokenizer: Any
    processor: Any


def _load(name: str, folder: Path, dtype: torch.dtype) -> _Parts:
    import transformers

    # Nothing here may reach the network or run a model's own code.
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    config = transformers.AutoConfig.from_pretrained(folder, **options)
    _check_class(name, transformers.MODEL_MAPPING.get(type(config), None))
    model, report = transformers.AutoModel.from_pretrained(
        folder,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        output_loading_info=True,
        **options,
    )
    if missing := sorted(report["missing_keys"]):
        raise EncoderError(
            f"{name}: its files lack {len(missing)} tensors of the model ({missing[0]}, ...), "
            "which would be random; download the whole model again, or choose another"
        )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
    processor = transformers.AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
        folder, backend="pil", **options
    )
    return _Parts(model.eval(), tokenizer, processor)


def _check_class(name: str, model_class: Any) -> None:
    found = getattr(model_class, "__name__", "no known class")
    if found == "Siglip2Model":
        raise EncoderError(
            f"{name}: a NaFlex model takes images of any shape, which is not supported; choose a "
            "SigLIP 2 of fixed size, such as google/siglip2-base-patch16-224"
        )
    if not all(hasattr(model_class, f"get_{kind}_features") for kind in ("image", "text")):
        raise EncoderError(
            f"{name}: this model ({found}) does not embed both images and texts; "
            "choose a model of the CLIP or SigLIP family"
        )


def _text_input(model: Any, tokenizer: Any) -> TextInput:
    return TextInput(
        tokenizer=tokenizer,
        padding="max_length" if model.config.model_type in PADS_TO_MAX_LENGTH else "longest",
        max_tokens=max_tokens_of(model, tokenizer),
        accepts=frozenset(inspect.signature(model.get_text_features).parameters),
    )


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Silence transformers, and turn whatever a broken model makes it raise into one line."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with quiet("transformers"):
            yield
    except EncoderError:
        raise
    except ImportError as error:
        raise EncoderError(
            f"{name}: {first_line(error).split('. ')[0]}; install that library with pip "
            "(SigLIP's first generation needs sentencepiece)"
        ) from error
    except Exception as error:
        raise EncoderError(
            f"{name}: the model cannot be loaded ({type(error).__name__}: {first_line(error)}); "
            "download it again, or choose another"
        ) from error
    finally:
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
