"""The verb `train`: from a source of images and captions to the folder of a model."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing
from pathlib import Path

from mm_milvus.atomic import atomic_folder, unwritable
from mm_milvus.choices import ProgressMode
from mm_milvus.encoders.torch.device import torch_device
from mm_milvus.errors import OutputError
from mm_milvus.extras import require_extra
from mm_milvus.pipeline.report import Report
from mm_milvus.rejects import RejectsFile
from mm_milvus.sources.base import Source
from mm_milvus.sources.open import as_source
from mm_milvus.sources.options import SourceOptions
from mm_milvus.training.loop import LAST, Loop, TrainingResult
from mm_milvus.training.options import TrainOptions
from mm_milvus.training.pairs import Pairs, check_size, split
from mm_milvus.training.recipes import FrozenRecipe, FullRecipe, Recipe
from mm_milvus.training.report import TrainReport, model_card, write_curves

TRAINING = "training"
"""The subfolder of a model for the files of its training: checkpoints, curves, features."""

FEATURES = "features"
NEW_MODEL = "model"


def train(
    source: str | os.PathLike[str] | Source,
    output: str | os.PathLike[str],
    *,
    validation: str | os.PathLike[str] | Source | None = None,
    source_options: SourceOptions | None = None,
    options: TrainOptions | None = None,
    resume: bool = False,
    device: str | None = None,
    progress: ProgressMode | bool = "none",
    rejects: str | os.PathLike[str] | None = None,
) -> TrainReport:
    """Train a vector space that images and texts share, from images and their captions.

    Documents that cannot be used are counted, and never stop the training. Ctrl-C ends it; the
    model then has the weights of the best epoch so far. The same seed, data and machine give the
    same weights.

    Args:
        source: A folder, a table, tar shards, any fsspec URI of those; or a `Source`.
        output: The folder of the model, for `load_encoder`. Its subfolder `training` gets the other
            files of the training: checkpoints, curves and features.
        validation: Another dataset, whose documents choose the best epoch (default: shares of the
            source, `options.held_out`).
        source_options: How to read both.
        options: How to train.
        resume: Continue after the last finished epoch, with the same options.
        device: A torch device (default: the GPU where there is one).
        progress: How to show progress on stderr, and one line per epoch (default: not at all).
        rejects: Where to write rejected items with their reasons, as JSON lines (default: nowhere).

    Returns:
        The recalls of the model, and the counts of the training.

    Raises:
        SourceError: When the source cannot be read as it was named, or has too few items.
        EncoderError: When a tower cannot be loaded.
        OptionError: When the training is resumed with other options.
        OutputError: When the output cannot be written, or holds something that would be lost.
        MissingExtraError: When matplotlib is not installed, which the extra `train` brings.
    """
    started = time.perf_counter()
    options = options or TrainOptions()
    require_extra("train", "matplotlib", "drawing the curves of a training")
    sources = [as_source(source, source_options)]
    if validation is not None:
        sources.append(as_source(validation, source_options))
    folder = Path(output)
    _prepare(folder, resume=resume)
    make_recipe = FullRecipe if options.unfreeze else FrozenRecipe
    recipe: Recipe = make_recipe(options, torch_device(device), folder / TRAINING / FEATURES)
    report = TrainReport(dataset=sources[0].name, model=str(folder))
    pairs = _read(sources, recipe, options, report, rejects, progress=progress)
    training, held_out, test = _split(pairs, options)
    report.items = {"training": len(training), "validation": len(held_out), "test": len(test)}
    check_size(training, held_out)
    model = recipe.model(training)
    loop = Loop(model, training, held_out, options, folder / TRAINING, progress=progress)
    result = loop.run(resume=resume)
    report.epochs, report.best_epoch = len(result.history), result.best
    report.interrupted = result.interrupted
    if result.best:
        report.validation = _best_recalls(result)
        report.test = loop.judge(test) if len(test) else {}
        write_curves(result.history, folder / TRAINING)
        temperature = result.history[result.best - 1]["temperature"]
        card = model_card(report, options, recipe.towers)
        _write_model(folder, recipe, card, temperature)
    report.seconds = time.perf_counter() - started
    return report


def _prepare(folder: Path, *, resume: bool) -> None:
    """Make the folder. Raises OutputError where it holds something that would be lost."""
    if folder.is_dir():
        others = [path.name for path in folder.iterdir() if path.name != TRAINING]
        has_training = (folder / TRAINING / LAST).exists()
        if has_training and not resume:
            raise OutputError(
                f"{folder} holds a training: continue it (`resume`), or name another folder"
            )
        if others and not has_training:
            raise OutputError(f"{folder} is not empty ({min(others)}): name another folder")
    try:
        (folder / TRAINING).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def _read(
    sources: list[Source],
    recipe: Recipe,
    options: TrainOptions,
    report: TrainReport,
    rejects: str | os.PathLike[str] | None,
    *,
    progress: ProgressMode | bool,
) -> list[Pairs]:
    """Read the documents to train on, and those to validate on where they have their own source."""
    pairs = []
    counts = Report(dataset=report.dataset, model=report.model)
    with closing(RejectsFile(rejects)) as file:
        # Random views are for training: validation sees the images alone.
        for source, views in zip(sources, (options.views, 1), strict=False):
            pairs.append(recipe.read(source, views, report=counts, rejects=file, progress=progress))
    report.rejected, report.rejects = counts.rejected, counts.rejects
    report.rejects_file, report.rejects_failure = counts.rejects_file, counts.rejects_failure
    return pairs


def _split(pairs: list[Pairs], options: TrainOptions) -> tuple[Pairs, Pairs, Pairs]:
    """Return the documents for training, validation and test."""
    if len(pairs) == 2:
        return pairs[0], pairs[1], Pairs()
    return split(pairs[0], options.held_out, options.seed)


def _best_recalls(result: TrainingResult) -> dict[str, float]:
    """Return the validation recalls of the best epoch."""
    line = result.history[result.best - 1]
    return {name: value for name, value in line.items() if "recall" in name}


def _write_model(folder: Path, recipe: Recipe, card: str, temperature: float) -> None:
    """Write the model completely, and then let it replace the previous one."""
    new = folder / TRAINING / NEW_MODEL
    shutil.rmtree(new, ignore_errors=True)
    with atomic_folder(new) as unfinished:
        recipe.save(unfinished, temperature)
        (unfinished / "README.md").write_text(card, encoding="utf-8")
    try:
        for path in folder.iterdir():
            if path.name != TRAINING:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in new.iterdir():
            path.rename(folder / path.name)
        new.rmdir()
    except OSError as error:
        raise unwritable(folder, error) from error
