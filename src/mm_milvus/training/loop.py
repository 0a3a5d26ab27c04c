"""The training loop: epochs, validation, checkpoints."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from mm_milvus.errors import QueryError
from mm_milvus.training.metrics import recalls
from mm_milvus.training.model import Trainable, documents
from mm_milvus.training.options import TrainOptions
from mm_milvus.training.pairs import Pairs
from mm_milvus.training.steps import Gradient, epoch

WARM_UP = 0.1
"""The part of the steps in which the learning rate rises."""

MOST_SCALE = 100.0
"""The bound of 1 / temperature where it is learned, as CLIP has it."""

EMBED_ROWS = 256

LAST, BEST = "last.pt", "best.pt"
"""The checkpoints: of the last epoch, with the optimiser's state, and the weights of the best."""

History = list[dict[str, float]]


@dataclass(slots=True)
class TrainingResult:
    """What training came to.

    history      a line an epoch: epoch, loss, learning_rate, temperature, and `recalls`
    best         the epoch, from 1, with the greatest mean recall; 0 before the first
    interrupted  by Ctrl-C, after the last epoch of the history
    """

    history: History = field(default_factory=list)
    best: int = 0
    interrupted: bool = False


class Loop:
    """Trains a model on some documents, and judges it on others after each epoch."""

    def __init__(
        self,
        model: Trainable,
        training: Pairs,
        validation: Pairs,
        options: TrainOptions,
        folder: Path,
        *,
        progress: bool,
    ) -> None:
        """Checkpoints go into the folder."""
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
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._share)
        self.fitted = TrainingResult()

    def run(self, *, resume: bool) -> TrainingResult:
        """Train; with `resume` go on from the last checkpoint, if there is one.

        Ctrl-C ends it after the last whole epoch. The model then has the weights of the best.
        """
        if resume and self._last.exists():
            self._load()
        fitted = self.fitted
        try:
            for number in range(len(fitted.history), self._options.epochs):
                line = {"epoch": number + 1} | self._epoch(number) | self.judge(self._validation)
                fitted.history.append(line)
                best = fitted.best == 0 or line["mean_recall"] > self._recall_of(fitted.best)
                if best:
                    fitted.best = number + 1
                    _save(self._best, {"model": self._model.module.state_dict()})
                self._checkpoint()
                self._tell(line, best)
        except KeyboardInterrupt:
            fitted.interrupted = True
        if fitted.best:
            self._model.module.load_state_dict(_load(self._best)["model"])
        return fitted

    @torch.inference_mode()
    def judge(self, pairs: Pairs) -> dict[str, float]:
        """The recalls of the documents and all their captions."""
        self._model.module.eval()
        numbers = sorted({number for texts in pairs.captions for number in texts})
        places = {number: place for place, number in enumerate(numbers)}
        rows = np.arange(len(pairs))
        queries = [
            self._model.texts([pairs.texts[number] for number in numbers[start:][:EMBED_ROWS]])
            for start in range(0, len(numbers), EMBED_ROWS)
        ]
        shown = [
            documents(self._model, pairs, part, np.zeros_like(part), self._options.document)
            for part in np.split(rows, range(EMBED_ROWS, len(rows), EMBED_ROWS))
        ]
        own = [[places[number] for number in texts] for texts in pairs.captions]
        return recalls(torch.cat(queries), torch.cat(shown), own)

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
        batches = tqdm(
            self._batches(number),
            desc=f"epoch {number + 1}/{self._options.epochs}",
            unit="step",
            leave=False,
            disable=None if self._progress else True,
        )
        rate = 0.0
        for batch in batches:
            self._optimiser.zero_grad()
            losses.append(gradient(batch))
            rate = max(rate, float(self._schedule.get_last_lr()[0]))
            self._optimiser.step()
            self._schedule.step()
            with torch.no_grad():
                self._log_scale.clamp_(max=math.log(MOST_SCALE))
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

    def _share(self, step: int) -> float:
        """The part of the learning rate at a step: linear warm-up, then half a cosine to 0."""
        warm = max(1, int(WARM_UP * self._steps))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self._steps - warm)))

    def _recall_of(self, number: int) -> float:
        return self.fitted.history[number - 1]["mean_recall"]

    def _tell(self, line: dict[str, float], best: bool) -> None:
        if self._progress:
            tqdm.write(
                f"epoch {line['epoch']:>3}  loss {line['loss']:.4f}  "
                f"text-to-image recall@10 {line['text_to_image_recall@10']:.4f}  "
                f"image-to-text recall@1 {line['image_to_text_recall@1']:.4f}"
                + ("  best" if best else ""),
                file=sys.stderr,
            )

    def _checkpoint(self) -> None:
        state = {
            "model": self._model.module.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "log_scale": self._log_scale.detach(),
            "history": self.fitted.history,
            "best": self.fitted.best,
            "options": _comparable(self._options),
        }
        _save(self._last, state)

    def _load(self) -> None:
        state = _load(self._last)
        if state["options"] != _comparable(self._options):
            now = _comparable(self._options)
            changed = sorted(key for key in now if state["options"].get(key) != now[key])
            raise QueryError(
                f"{self._last} was made with another {' and '.join(changed)}: resume with the "
                "same options, or train into another folder"
            )
        self._model.module.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        with torch.no_grad():
            self._log_scale.copy_(state["log_scale"])
        self.fitted = TrainingResult(state["history"], state["best"])


def _comparable(options: TrainOptions) -> dict[str, Any]:
    kept = asdict(options)
    return kept | {"document": dict(options.document), "held_out": list(options.held_out)}


def _save(path: Path, state: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def _load(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
