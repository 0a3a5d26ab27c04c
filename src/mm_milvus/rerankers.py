"""Rerankers: models that read the query and a document together, and say how well they match.

An encoder gives each side a vector before it has seen the other; a reranker lets every word of
the query look at the document. It ranks better, and runs a whole model for each document, so it is
worth its time on the first hits of a search alone. Two kinds are loaded, by id or folder, as
`load_encoder` does:

- a text cross-encoder (Nogueira and Cho, 2019), a sequence classifier with one logit, such as
  `cross-encoder/ms-marco-MiniLM-L-6-v2`: it reads the query and a caption;
- the image-text matching head of BLIP (Li et al., 2022), such as `Salesforce/blip-itm-base-coco`:
  it reads the query and the pixels of an image.

`needs` tells which. Scores are the model's own probabilities of a match; those of two models
cannot be compared.

    reranker = load_reranker("cross-encoder/ms-marco-MiniLM-L-6-v2")
    scores = reranker.scores("red dress", [hit.caption for hit in hits])
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mm_milvus.encoders.snapshot import find_model
from mm_milvus.encoders.torch.batching import FittingBatches
from mm_milvus.encoders.torch.cpu import inference
from mm_milvus.encoders.torch.encoder import CPU_BATCH, GPU_BATCH, best_dtype, torch_device
from mm_milvus.encoders.torch.text_input import max_tokens_of
from mm_milvus.encoders.transformers.pretrained import (
    load_config,
    load_model,
    load_processor,
    load_tokenizer,
    loading,
)
from mm_milvus.errors import EncoderError

Scores = NDArray[np.float32]
"""One a document, in the given order: float32 (n,), 0 to 1."""

BLIP = "BlipForImageTextRetrieval"
CLASSIFIER = "ForSequenceClassification"
"""What the architecture of a config is called, and ends with."""


class CaptionReranker:
    """A cross-encoder of texts; its device and type are those of its model."""

    needs: Literal["captions"] = "captions"

    def __init__(self, name: str, model: Any, tokenizer: Any, batch_size: int) -> None:
        """`model` is an AutoModelForSequenceClassification with one logit."""
        self.id = name
        self._model = model
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens_of(model, tokenizer)
        self._accepts = inspect.signature(model.forward).parameters
        self._batches = FittingBatches(batch_size)

    def scores(self, query: str, documents: Sequence[str]) -> Scores:
        """How well each caption answers the query: the sigmoid of the model's logit.

        Where both are too long together, the longer one is cut.
        """
        scores = np.empty(len(documents), np.float32)
        if not documents:
            return scores
        captions = [_unicode(text) for text in documents]
        table = self._tokenizer(
            [_unicode(query)] * len(captions),
            captions,
            truncation=True,
            max_length=self._max_tokens,
        )
        fields = {name: rows for name, rows in table.items() if name in self._accepts}
        lengths = [len(row) for row in fields["input_ids"]]
        order = sorted(range(len(captions)), key=lambda place: -lengths[place])
        for rows, result in self._batches.run(
            lambda rows: self._batch(fields, order[rows]), len(order)
        ):
            scores[order[rows]] = result
        return scores

    @inference()
    def _batch(self, fields: dict[str, list[list[int]]], places: list[int]) -> Scores:
        part = {name: [rows[place] for place in places] for name, rows in fields.items()}
        padded = self._tokenizer.pad(part, return_tensors="pt")
        tokens = {name: padded[name].to(self._model.device) for name in part}
        logits: Tensor = self._model(**tokens).logits
        return np.asarray(logits[:, 0].float().sigmoid().cpu())


class ImageReranker:
    """The image-text matching of BLIP; its device and type are those of its model."""

    needs: Literal["images"] = "images"

    def __init__(
        self, name: str, model: Any, tokenizer: Any, processor: Any, batch_size: int
    ) -> None:
        """`model` is a BlipForImageTextRetrieval, with its own tokenizer and image processor."""
        self.id = name
        self._model = model
        self._tokenizer = tokenizer
        self._processor = processor
        self._max_tokens = max_tokens_of(model, tokenizer)
        self._batches = FittingBatches(batch_size)

    def scores(self, query: str, documents: Sequence[Image.Image]) -> Scores:
        """How well the query describes each picture: the softmax of the class that it does."""
        scores = np.empty(len(documents), np.float32)
        tokens = self._tokenizer(
            _unicode(query), truncation=True, max_length=self._max_tokens, return_tensors="pt"
        ).input_ids.to(self._model.device)
        batches = self._batches.run(
            lambda rows: self._batch(tokens, documents[rows]), len(documents)
        )
        for rows, result in batches:
            scores[rows] = result
        return scores

    @inference()
    def _batch(self, tokens: Tensor, pictures: Sequence[Image.Image]) -> Scores:
        model = self._model
        images = [picture.convert("RGB") for picture in pictures]
        pixels = self._processor(images=images, return_tensors="pt")["pixel_values"]
        # What the model's own forward does, but for a mask that it makes on the CPU wherever it is.
        pixels = pixels.to(model.device, model.dtype)
        states = model.vision_model(pixel_values=pixels).last_hidden_state
        read = model.text_encoder(
            input_ids=tokens.expand(len(images), -1),
            attention_mask=torch.ones_like(tokens).expand(len(images), -1),
            encoder_hidden_states=states,
            encoder_attention_mask=torch.ones(
                states.shape[:2], dtype=torch.long, device=states.device
            ),
        ).last_hidden_state
        matches = model.itm_head(read[:, 0]).float().softmax(dim=1)[:, 1]
        return np.asarray(matches.cpu())


Reranker = CaptionReranker | ImageReranker
"""`needs` tells which it is, and so what `scores` takes."""


def load_reranker(
    name: str, *, device: str | None = None, batch_size: int | None = None
) -> Reranker:
    """The reranker in a folder that save_pretrained wrote, or of the hub: "ID" or "ID@REVISION".

    device      a torch device; None: the GPU where there is one
    batch_size  documents a device call; None: by the device

    Weights are read from safetensors alone, and no code of a model's repository is run. Raises
    EncoderError, whose line names the model, the reason and the remedy.
    """
    if batch_size is not None and batch_size < 1:
        raise EncoderError(f"{name}: a batch of {batch_size} documents; it must be at least 1")
    folder = find_model(name)
    where = torch_device(device)
    size = batch_size or (CPU_BATCH if where.type == "cpu" else GPU_BATCH)
    with loading(name):
        reranker = _load(name, folder, where, size)
        # Run once, so that what a model lacks is told here: a padding token, say.
        if isinstance(reranker, CaptionReranker):
            reranker.scores("a", ["a", "a a"])
        else:
            reranker.scores("a", [Image.new("RGB", (2, 2))])
    return reranker


def _load(name: str, folder: Path, device: torch.device, batch_size: int) -> Reranker:
    import transformers

    config = load_config(folder)
    [architecture, *_] = config.architectures or ["a model that does not tell its kind"]
    dtype = best_dtype(device)
    if architecture == BLIP:
        model = load_model(transformers.BlipForImageTextRetrieval, name, folder, dtype)
        return ImageReranker(
            name, model.to(device), load_tokenizer(folder), load_processor(folder), batch_size
        )
    if not architecture.endswith(CLASSIFIER):
        raise EncoderError(
            f"{name}: it is no reranker ({architecture}); choose a text cross-encoder, such as "
            "cross-encoder/ms-marco-MiniLM-L-6-v2, or a BLIP with image-text matching, such as "
            "Salesforce/blip-itm-base-coco"
        )
    if config.num_labels != 1:
        raise EncoderError(
            f"{name}: it sorts texts into {config.num_labels} classes, and a reranker has one "
            "score; choose a cross-encoder, such as cross-encoder/ms-marco-MiniLM-L-6-v2"
        )
    model = load_model(transformers.AutoModelForSequenceClassification, name, folder, dtype)
    return CaptionReranker(name, model.to(device), load_tokenizer(folder), batch_size)


def _unicode(text: str) -> str:
    """A lone surrogate (an undecodable byte of a command line) is no text for a tokenizer."""
    return text.encode("utf-8", "replace").decode()
