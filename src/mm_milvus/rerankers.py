"""Rerankers: models that read a query and a document together, and score how well they match.

An encoder computes the vectors of query and document independently; a reranker lets every word of
the query attend to the document. It ranks better, but runs a whole model for each document, so it
pays off only on the first hits of a search. Two kinds are loaded, by id or folder as in
`load_encoder`:

- a text cross-encoder (Nogueira and Cho, 2019), a sequence classifier with one logit, such as
  `cross-encoder/ms-marco-MiniLM-L-6-v2`: it reads the query and a caption;
- the image-text matching head of BLIP (Li et al., 2022), such as `Salesforce/blip-itm-base-coco`:
  it reads the query and the pixels of an image.

The attribute `needs` says which. Scores are the model's own probabilities of a match; scores of
different models cannot be compared.

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

from mm_milvus.encoders.base import check_batch_size
from mm_milvus.encoders.snapshot import find_model
from mm_milvus.encoders.torch.cpu import inference
from mm_milvus.encoders.torch.device import (
    FittingBatches,
    best_dtype,
    default_batch_size,
    torch_device,
)
from mm_milvus.encoders.torch.text_input import max_tokens_of
from mm_milvus.encoders.transformers.pretrained import (
    load_config,
    load_model,
    load_processor,
    load_tokenizer,
    loading,
)
from mm_milvus.errors import EncoderError
from mm_milvus.text import replace_surrogates

Scores = NDArray[np.float32]
"""Scores of n documents, in their order: float32, (n,), from 0 to 1."""

BLIP = "BlipForImageTextRetrieval"
CLASSIFIER = "ForSequenceClassification"
"""The architecture in the config of a BLIP, and the end of that of a text cross-encoder."""


class CaptionReranker:
    """A cross-encoder of texts, which scores captions.

    Attributes:
        needs: "captions".
        id: The name that `load_reranker` was given.
    """

    needs: Literal["captions"] = "captions"

    def __init__(self, name: str, model: Any, tokenizer: Any, batch_size: int) -> None:
        """Wrap a model of transformers, whose device and dtype are used.

        Args:
            name: What `load_reranker` was given.
            model: An AutoModelForSequenceClassification with one logit.
            tokenizer: Its tokenizer.
            batch_size: Captions per call of the model.
        """
        self.id = name
        self._model = model
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens_of(model, tokenizer)
        self._accepts = inspect.signature(model.forward).parameters
        self._batches = FittingBatches(batch_size)

    def scores(self, query: str, documents: Sequence[str]) -> Scores:
        """Score how well each caption matches the query: the sigmoid of the model's logit.

        Where the two are too long together, the longer one is truncated.

        Args:
            query: Any text.
            documents: n captions.

        Returns:
            float32, (n,), from 0 to 1.
        """
        scores = np.empty(len(documents), np.float32)
        if not documents:
            return scores
        captions = [replace_surrogates(text) for text in documents]
        table = self._tokenizer(
            [replace_surrogates(query)] * len(captions),
            captions,
            truncation=True,
            max_length=self._max_tokens,
        )
        fields = {name: rows for name, rows in table.items() if name in self._accepts}
        lengths = [len(row) for row in fields["input_ids"]]
        order = sorted(range(len(captions)), key=lambda index: -lengths[index])
        for rows, result in self._batches.run(
            lambda rows: self._batch(fields, order[rows]), len(order)
        ):
            scores[order[rows]] = result
        return scores

    @inference()
    def _batch(self, fields: dict[str, list[list[int]]], indices: list[int]) -> Scores:
        batch = {name: [rows[index] for index in indices] for name, rows in fields.items()}
        padded = self._tokenizer.pad(batch, return_tensors="pt")
        tokens = {name: padded[name].to(self._model.device) for name in batch}
        logits: Tensor = self._model(**tokens).logits
        return np.asarray(logits[:, 0].float().sigmoid().cpu())


class ImageReranker:
    """The image-text matching head of BLIP, which scores images.

    Attributes:
        needs: "images".
        id: The name that `load_reranker` was given.
    """

    needs: Literal["images"] = "images"

    def __init__(
        self, name: str, model: Any, tokenizer: Any, processor: Any, batch_size: int
    ) -> None:
        """Wrap a model of transformers, whose device and dtype are used.

        Args:
            name: What `load_reranker` was given.
            model: A BlipForImageTextRetrieval.
            tokenizer: Its tokenizer.
            processor: Its image processor.
            batch_size: Images per call of the model.
        """
        self.id = name
        self._model = model
        self._tokenizer = tokenizer
        self._processor = processor
        self._max_tokens = max_tokens_of(model, tokenizer)
        self._batches = FittingBatches(batch_size)

    def scores(self, query: str, documents: Sequence[Image.Image]) -> Scores:
        """Score how well the query describes each image: the softmax of the class "match".

        Args:
            query: Any text.
            documents: n images of any size and mode.

        Returns:
            float32, (n,), from 0 to 1.
        """
        scores = np.empty(len(documents), np.float32)
        tokens = self._tokenizer(
            replace_surrogates(query),
            truncation=True,
            max_length=self._max_tokens,
            return_tensors="pt",
        ).input_ids.to(self._model.device)
        batches = self._batches.run(
            lambda rows: self._batch(tokens, documents[rows]), len(documents)
        )
        for rows, result in batches:
            scores[rows] = result
        return scores

    @inference()
    def _batch(self, tokens: Tensor, images: Sequence[Image.Image]) -> Scores:
        model = self._model
        rgb = [image.convert("RGB") for image in images]
        pixels = self._processor(images=rgb, return_tensors="pt")["pixel_values"]
        # The steps of the model's own forward, which would make a mask on the CPU also for a model
        # on a GPU.
        pixels = pixels.to(model.device, model.dtype)
        states = model.vision_model(pixel_values=pixels).last_hidden_state
        fused = model.text_encoder(
            input_ids=tokens.expand(len(images), -1),
            attention_mask=torch.ones_like(tokens).expand(len(images), -1),
            encoder_hidden_states=states,
            encoder_attention_mask=torch.ones(
                states.shape[:2], dtype=torch.long, device=states.device
            ),
        ).last_hidden_state
        matches = model.itm_head(fused[:, 0]).float().softmax(dim=1)[:, 1]
        return np.asarray(matches.cpu())


Reranker = CaptionReranker | ImageReranker
"""Either kind; `needs` says what its `scores` takes."""


def load_reranker(
    name: str, *, device: str | None = None, batch_size: int | None = None
) -> Reranker:
    """Load a reranker: a text cross-encoder, or a BLIP with image-text matching.

    Weights are read only from safetensors files, and no code of a model's repository is run.

    Args:
        name: A folder that save_pretrained wrote, or an id on the Hugging Face hub: "ID" or
            "ID@REVISION".
        device: A torch device: "cpu", "cuda", "cuda:1" (default: the GPU where there is one).
        batch_size: Documents per call of the model (default: chosen by the device).

    Raises:
        EncoderError: When the model does not exist, cannot be loaded or is not a reranker, or when
            the device cannot be used.
        OptionError: When `batch_size` is below 1.
    """
    check_batch_size(batch_size)
    folder = find_model(name)
    target = torch_device(device)
    with loading(name):
        reranker = _load(name, folder, target, batch_size or default_batch_size(target))
        # A first call shows here what the model lacks, such as a padding token.
        if isinstance(reranker, CaptionReranker):
            reranker.scores("a", ["a", "a a"])
        else:
            reranker.scores("a", [Image.new("RGB", (2, 2))])
    return reranker


def _load(name: str, folder: Path, device: torch.device, batch_size: int) -> Reranker:
    import transformers

    config = load_config(folder)
    [architecture, *_] = config.architectures or ["its config names no architecture"]
    dtype = best_dtype(device)
    if architecture == BLIP:
        model = load_model(transformers.BlipForImageTextRetrieval, name, folder, dtype)
        return ImageReranker(
            name, model.to(device), load_tokenizer(folder), load_processor(folder), batch_size
        )
    if not architecture.endswith(CLASSIFIER):
        raise EncoderError(
            f"{name}: it is not a reranker ({architecture}); choose a text cross-encoder, such as "
            "cross-encoder/ms-marco-MiniLM-L-6-v2, or a BLIP with image-text matching, such as "
            "Salesforce/blip-itm-base-coco"
        )
    if config.num_labels != 1:
        raise EncoderError(
            f"{name}: it sorts texts into {config.num_labels} classes, and a reranker has a single "
            "score; choose a cross-encoder, such as cross-encoder/ms-marco-MiniLM-L-6-v2"
        )
    model = load_model(transformers.AutoModelForSequenceClassification, name, folder, dtype)
    return CaptionReranker(name, model.to(device), load_tokenizer(folder), batch_size)
