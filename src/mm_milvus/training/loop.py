"""The training loop: epochs, validation, checkpoints."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mm_milvus.atomic import atomic_file
from mm_milvus.choices import ProgressMode
from mm_milvus.errors import OptionError
from mm_milvus.progress import print_line, show_progress
from mm_milvus.training.metrics import recalls
from mm_milvus.training.model import Trainable, documents
from mm_milvus.training.options import TrainOptions
from mm_milvus.training.pairs import Pairs
from mm_milvus.training.steps import Gradient, epoch

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""

MAX_SCALE = 100.0
"""Upper bound of 1 / temperature where the temperature is trained, as in CLIP."""

EMBED_ROWS = 256
"""Documents or captions that are embedded per call for validation."""

LAST, BEST = "last.pt", "best.pt"
"""Checkpoints: the last epoch with the optimiser's state, and the weights of the best epoch."""

History = list[dict[str, float]]
"""For each epoch: `epoch`, `loss`, `learning_rate`, `temperature`, and the recalls."""


@dataclass(slots=True)
class TrainingResult:
    """The epochs of a training.

    Attributes:
        history: One entry per finished epoch.
        best: The number of the epoch, from 1, with the highest mean recall; 0 before the first.
        interrupted: Whether Ctrl-C ended the training before its last epoch.
    """

    history: History = field(default_factory=list)
    best: int = 0
    interrupted: bool = False


class Loop:
    """Trains a model on some documents, and validates it on others after each epoch.

    Attributes:
        result: The epochs so far.
    """

    def __init__(
        self,
        model: Trainable,
        training: Pairs,
        validation: Pairs,
        options: TrainOptions,
        folder: Path,
        *,
        progress: ProgressMode | bool,
    ) -> None:
        """Prepare the optimiser and the schedule.

        Args:
            model: The model, in its initial state.
            training: Documents to train on.
            validation: Documents to choose the best epoch by.
            options: How to train.
            folder: Where the checkpoints go.
            progress: How to show progress on stderr, and one line per epoch.
        """
        self._model = model
        self._training, self._validation = training, validation
        self._options = options
        self._last, self._best = folder / LAST, folder / BEST
        self._progress = progress
        self._log_scale = torch.tensor(-math.log(options.temperature))
        parameters: list[dict[str, Any]] = [{"params": [*model.module.parameters()]}]
        if options.learn_temperature:
            self._log_scale.requires_grad_()
            parameters.append({"params": [self._log_scale], "weight_decay": 0.0})
        self._optimiser = torch.optim.AdamW(
            parameters, options.rate, weight_decay=options.weight_decay
        )
        self._steps = options.epochs * len(self._batches(0))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._rate_factor)
        self.result = TrainingResult()

    def run(self, *, resume: bool) -> TrainingResult:
        """Train all epochs; afterwards the model has the weights of the best epoch.

        Ctrl-C ends the training; the epoch under way is lost.

        Args:
            resume: Continue from the last checkpoint, if there is one.

        Raises:
            OptionError: When the checkpoint was made with other options.
            OutputError: When a checkpoint cannot be written.
        """
        if resume and self._last.exists():
            self._load()
        result = self.result
        try:
            for number in range(len(result.history), self._options.epochs):
                line = {"epoch": number + 1} | self._epoch(number) | self.judge(self._validation)
                result.history.append(line)
                is_best = result.best == 0 or line["mean_recall"] > self._recall_of(result.best)
                if is_best:
                    result.best = number + 1
                    _save(self._best, {"model": self._model.module.state_dict()})
                self._checkpoint()
                self._print_epoch(line, is_best)
        except KeyboardInterrupt:
            result.interrupted = True
        if result.best:
            self._model.module.load_state_dict(_load(self._best)["model"])
        return result

    @torch.inference_mode()
    def judge(self, pairs: Pairs) -> dict[str, float]:
        """Return the recalls of documents, view 0 of their images, and all of their captions."""
        self._model.module.eval()
        numbers = sorted({number for texts in pairs.captions for number in texts})
        positions = {number: position for position, number in enumerate(numbers)}
        rows = np.arange(len(pairs))
        queries = [
            self._model.texts([pairs.texts[number] for number in numbers[start:][:EMBED_ROWS]])
            for start in range(0, len(numbers), EMBED_ROWS)
        ]
        embedded = [
            documents(self._model, pairs, part, np.zeros_like(part), self._options.document)
            for part in np.split(rows, range(EMBED_ROWS, len(rows), EMBED_ROWS))
        ]
        captions = [[positions[number] for number in texts] for texts in pairs.captions]
        return recalls(torch.cat(queries), torch.cat(embedded), captions)

    def _epoch(self, number: int) -> dict[str, float]:
        self._model.module.train()
        gradient = Gradient(
            self._model,
            self._training,
            self._options.document,
            self._log_scale,
            self._options.micro_batch,
        )
        losses = []
        batches = self._batches(number)
        title = f"epoch {number + 1}/{self._options.epochs}"
        rate = 0.0
        with show_progress(
            self._progress, unit="steps", total=len(batches), title=title
        ) as progress:
            for batch in batches:
                self._optimiser.zero_grad()
                losses.append(gradient(batch))
                rate = max(rate, float(self._schedule.get_last_lr()[0]))
                self._optimiser.step()
                self._schedule.step()
                with torch.no_grad():
                    self._log_scale.clamp_(max=math.log(MAX_SCALE))
                progress.update()
        return {
            "loss": float(np.mean(losses)),
            "learning_rate": rate,
            "temperature": math.exp(-float(self._log_scale)),
        }

    def _batches(self, number: int) -> list[Any]:
        options = self._options
        return epoch(
            self._training,
            captions=options.captions,
            views=options.views,
            batch_size=options.batch_size,
            seed=(options.seed, number),
        )

    def _rate_factor(self, step: int) -> float:
        """Return the factor of the learning rate at a step: linear warm-up, then a cosine to 0."""
        warm = max(1, int(WARM_UP * self._steps))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self._steps - warm)))

    def _recall_of(self, number: int) -> float:
        return self.result.history[number - 1]["mean_recall"]

    def _print_epoch(self, line: dict[str, float], is_best: bool) -> None:
        print_line(
            self._progress,
            f"epoch {line['epoch']:>3}  loss {line['loss']:.4f}  "
            f"text-to-image recall@10 {line['text_to_image_recall@10']:.4f}  "
            f"image-to-text recall@1 {line['image_to_text_recall@1']:.4f}"
            + ("  best" if is_best else ""),
        )

    def _checkpoint(self) -> None:
        state = {
            "model": self._model.module.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "log_scale": self._log_scale.detach(),
            "history": self.result.history,
            "best": self.result.best,
            "options": _comparable(self._options),
        }
        _save(self._last, state)

    def _load(self) -> None:
        state = _load(self._last)
        if state["options"] != _comparable(self._options):
            current = _comparable(self._options)
            changed = sorted(key for key in current if state["options"].get(key) != current[key])
            raise OptionError(
                f"{self._last} was made with another {' and '.join(changed)}: resume with the "
                "same options, or train into another folder"
            )
        self._model.module.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        with torch.no_grad():
            self._log_scale.copy_(state["log_scale"])
        self.result = TrainingResult(state["history"], state["best"])


def _comparable(options: TrainOptions) -> dict[str, Any]:
    """Return the options as a checkpoint has them."""
    return asdict(options) | {
        "document": dict(options.document),
        "held_out": list(options.held_out),
    }


def _save(path: Path, state: dict[str, Any]) -> None:
    with atomic_file(path) as file:
        torch.save(state, file)


def _load(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
