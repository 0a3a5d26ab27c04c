"""The hub encoder: models of the CLIP family, run through transformers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mm_milvus.encoders.base import EncoderSpec, Pixels, Vectors
from mm_milvus.encoders.batching import FittingBatches
from mm_milvus.encoders.fingerprint import fingerprint
from mm_milvus.encoders.processor import preprocessing_of
from mm_milvus.encoders.snapshot import first_line, quiet, weight_files
from mm_milvus.encoders.text import PADS_TO_MAX_LENGTH, TextInput, max_tokens_of
from mm_milvus.errors import EncoderError

CPU_BATCH = 32
GPU_BATCH = 256


class HubEncoder:
    """An `Encoder` of any transformers model with get_image_features and get_text_features.

    On a GPU weights and activations are bfloat16 where it has that type, else float32; on a CPU
    float32. Pixels are normalised on the device. Vectors are float32 of unit length.
    """

    def __init__(
        self, name: str, folder: Path, *, device: str | None = None, batch_size: int | None = None
    ) -> None:
        """Load the model in `folder`, a folder that `find_model` gave for `name`.

        device and batch_size are those of `load_encoder`. Raises EncoderError where the model
        does not embed images and texts into one space, where its preprocessing is not one that
        `load_pixels` does, or where its files are broken.
        """
        if batch_size is not None and batch_size < 1:
            raise EncoderError(f"{name}: a batch of {batch_size} images; it must be at least 1")
        self._device = _device(device)
        self._dtype = _dtype(self._device)
        with _loading(name):
            parts = _load(name, folder, self._dtype)
            self._model = parts.model.to(self._device)
            self._text = _text_input(self._model, parts.tokenizer)
            preprocessing = preprocessing_of(parts.processor, name)
        # On uint8 pixels: (pixel / 255 - mean) / std in one step.
        self._mean = self._channels(preprocessing.mean) * 255
        self._std = self._channels(preprocessing.std) * 255
        size = batch_size or (CPU_BATCH if self._device.type == "cpu" else GPU_BATCH)
        self._image_batches = FittingBatches(size)
        self._text_batches = FittingBatches(size)
        self._spec = EncoderSpec(
            id=name,
            fingerprint=fingerprint(
                weight_files(folder, name), self._model.config, preprocessing, self._text
            ),
            dim=self._probe(name, preprocessing.height, preprocessing.width),
            preprocessing=preprocessing,
            max_tokens=self._text.max_tokens,
        )

    @property
    def spec(self) -> EncoderSpec:
        """The facts of this encoder."""
        return self._spec

    @property
    def batch_size(self) -> int:
        """How many images fit the device at once; falls when a batch ran out of memory."""
        return self._image_batches.size

    def encode_images(self, pixels: Pixels) -> Vectors:
        """Embed uint8 (n, height, width, 3) pixels to float32 (n, dim), unit rows."""
        height, width = self._spec.preprocessing.height, self._spec.preprocessing.width
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (height, width, 3):
            raise EncoderError(
                f"{self._spec.id}: pixels must be uint8 (n, {height}, {width}, 3), not "
                f"{pixels.dtype} {pixels.shape}; load them with load_pixels"
            )
        vectors = np.empty((len(pixels), self._spec.dim), np.float32)
        batches = self._image_batches.run(lambda rows: self._images(pixels[rows]), len(pixels))
        for rows, result in batches:
            vectors[rows] = result
        return vectors

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed n texts to float32 (n, dim), unit rows, in the given order.

        Each distinct text is encoded once, in batches of texts of like length.
        """
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        vectors = np.empty((len(places), self._spec.dim), np.float32)
        if places:
            tokens = self._text.tokens(list(places))
            order = sorted(range(len(tokens)), key=lambda place: -_length(tokens[place]))
            batches = self._text_batches.run(
                lambda rows: self._texts([tokens[place] for place in order[rows]]), len(order)
            )
            for rows, result in batches:
                vectors[order[rows]] = result
        return vectors[[places[text] for text in texts]]

    @torch.inference_mode()
    def _images(self, pixels: Pixels) -> Vectors:
        # A copy: the caller's array may be read-only. NHWC seen as NCHW is channels_last.
        batch = torch.tensor(pixels).to(self._device).permute(0, 3, 1, 2)
        values = batch.float().sub_(self._mean).div_(self._std).to(self._dtype)
        return _unit_rows(self._model.get_image_features(pixel_values=values))

    @torch.inference_mode()
    def _texts(self, tokens: Sequence[dict[str, list[int]]]) -> Vectors:
        batch = {key: rows.to(self._device) for key, rows in self._text.pad(tokens).items()}
        return _unit_rows(self._model.get_text_features(**batch))

    def _channels(self, values: tuple[float, float, float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self._device).view(1, 3, 1, 1)

    def _probe(self, name: str, height: int, width: int) -> int:
        """The length of a vector, after both towers did one item of the greatest size."""
        with _loading(name):
            image = self._images(np.zeros((1, height, width, 3), np.uint8))
            text = self._texts(self._text.tokens(["a " * self._text.max_tokens]))
        if image.ndim != 2 or image.shape != text.shape:
            raise EncoderError(
                f"{name}: its images become {image.shape[1:]} and its texts {text.shape[1:]}, "
                "not one vector of the same length; choose a model of the CLIP or SigLIP family"
            )
        return int(image.shape[1])


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


def _unit_rows(features: Any) -> Vectors:
    """float32 rows of unit length, from the tensor or the output object of transformers 5."""
    pooled = getattr(features, "pooler_output", features)
    rows: Vectors = torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy()
    return rows


def _length(tokens: dict[str, list[int]]) -> int:
    return len(tokens["input_ids"])


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EncoderError(
            f"the device {name} cannot be used here ({first_line(error)}); use cpu"
        ) from error
    return device


def _dtype(device: torch.device) -> torch.dtype:
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float32


@contextmanager
def _loading(name: str) -> Iterator[None]:
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
