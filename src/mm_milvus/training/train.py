"""A training, from a source to a model's folder."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing
from pathlib import Path

from mm_milvus.encoders.torch.device import torch_device
from mm_milvus.errors import MmMilvusError
from mm_milvus.rejects import RejectsFile
from mm_milvus.sources.base import Source
from mm_milvus.sources.open import as_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.training.curves import check_drawing, write_curves
from mm_milvus.training.features import TrainingData
from mm_milvus.training.loop import LAST, Loop, TrainingResult
from mm_milvus.training.options import TrainOptions
from mm_milvus.training.pairs import Pairs, check_size, split
from mm_milvus.training.recipes import FrozenRecipe, FullRecipe, Recipe
from mm_milvus.training.report import TrainReport, model_card

TRAINING = "training"
"""The subfolder of a model with what its training left: checkpoints, curves, features."""

FEATURES = "features"
NEW = "model"


def train(
    source: str | os.PathLike[str] | Source,
    output: str | os.PathLike[str],
    *,
    validation: str | os.PathLike[str] | Source | None = None,
    source_options: SourceOptions | None = None,
    options: TrainOptions | None = None,
    resume: bool = False,
    device: str | None = None,
    progress: bool = False,
    rejects: str | os.PathLike[str] | None = None,
) -> TrainReport:
    """Learn a space that images and texts share, from images and their captions.

    source      a folder, a table, tar shards, any fsspec URI of those; or a `Source`
    output      the folder that the model is written to, for `load_encoder`; what the training
                leaves besides (checkpoints, curves, features) goes into its subfolder `training`
    validation  a data set of its own; None: shares of the source, `options.held_out`
    resume      go on after the last epoch that was finished, with the same options
    device      a torch device; None: the GPU where there is one

    Documents that cannot be used are counted, and written with the reason to
    `<dataset>.rejects.jsonl` in the current folder. Ctrl-C ends the training; the model is then
    that of the best epoch so far. The same seed, data and machine give the same weights.

    Raises `SourceError`, `EncoderError` or `QueryError` when it cannot run at all.
    """
    started = time.perf_counter()
    options = options or TrainOptions()
    check_drawing()
    learned = as_source(source, source_options)
    judged = None if validation is None else as_source(validation, source_options)
    folder = Path(output)
    _prepare(folder, resume=resume)
    make = FullRecipe if options.unfreeze else FrozenRecipe
    recipe: Recipe = make(options, torch_device(device), folder / TRAINING / FEATURES)
    parts = [recipe.gather(learned, options.views, progress=progress)]
    if judged is not None:
        parts.append(recipe.gather(judged, 1, progress=progress))
    training, held_out, test = _sides(parts, options)
    report = TrainReport(
        dataset=learned.name,
        model=str(folder),
        items={"training": len(training), "validation": len(held_out), "test": len(test)},
    )
    _write_rejects(parts, report, None if rejects is None else Path(rejects))
    check_size(training, held_out)
    model = recipe.model(training)
    loop = Loop(model, training, held_out, options, folder / TRAINING, progress=progress)
    fitted = loop.run(resume=resume)
    report.epochs, report.best_epoch = len(fitted.history), fitted.best
    report.interrupted = fitted.interrupted
    if fitted.best:
        report.validation = _recalls_of(fitted)
        report.test = loop.judge(test) if len(test) else {}
        write_curves(fitted.history, folder / TRAINING)
        temperature = fitted.history[fitted.best - 1]["temperature"]
        card = model_card(report, options, recipe.towers)
        _write_model(folder, recipe, card, temperature)
    report.seconds = time.perf_counter() - started
    return report


def _recalls_of(fitted: TrainingResult) -> dict[str, float]:
    """The validation recalls of the best epoch."""
    line = fitted.history[fitted.best - 1]
    return {name: value for name, value in line.items() if "recall" in name}


def _prepare(folder: Path, *, resume: bool) -> None:
    """Make the folder, and refuse one that holds something that would be lost or mixed up."""
    if folder.is_dir():
        others = [path.name for path in folder.iterdir() if path.name != TRAINING]
        begun = (folder / TRAINING / LAST).exists()
        if begun and not resume:
            raise MmMilvusError(
                f"{folder} holds a training: go on with it (--resume), or name another folder"
            )
        if others and not begun:
            raise MmMilvusError(f"{folder} is not empty ({min(others)}): name another folder")
    (folder / TRAINING).mkdir(parents=True, exist_ok=True)


def _sides(parts: list[TrainingData], options: TrainOptions) -> tuple[Pairs, Pairs, Pairs]:
    if len(parts) == 2:
        return parts[0].pairs, parts[1].pairs, Pairs()
    return split(parts[0].pairs, options.held_out, options.seed)


def _write_rejects(parts: list[TrainingData], report: TrainReport, path: Path | None) -> None:
    with closing(RejectsFile(path)) as file:
        for part in parts:
            file.write(part.rejected)
        report.rejected = sum(len(part.rejected) for part in parts)
        report.rejects_file = file.path if report.rejected else None


def _write_model(folder: Path, recipe: Recipe, card: str, temperature: float) -> None:
    """Write beside the old model, if there is one, and then take its place."""
    new = folder / TRAINING / NEW
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    recipe.save(new, temperature)
    (new / "README.md").write_text(card, encoding="utf-8")
    for path in folder.iterdir():
        if path.name != TRAINING:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in new.iterdir():
        path.rename(folder / path.name)
    new.rmdir()
