"""The files of a model: a local folder, or a download from the Hugging Face hub."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mm_milvus.errors import EncoderError
from mm_milvus.text import first_line

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
MODEL_FILES = ["*.json", "*.txt", "*.model", WEIGHTS, "model-*-of-*.safetensors"]
OTHER_FOLDERS = "[!1]*/*"
"""Subfolders that are not downloaded: they hold weights for other runtimes, except `1_Pooling`,
where a sentence model declares its pooling."""

CONFIG = "mm_milvus.json"
"""The description in a model folder that mm-milvus wrote."""

DUAL, EXPORTED = "dual", "exported"
"""Kinds of these folders: a projection over two towers (`train`), and graphs for a runtime
(`export`)."""

HUB_TIMEOUT_S = 10.0


def find_model(name: str) -> Path:
    """Return the folder that holds the files of a model, downloading it if need be.

    A hub model is downloaded into the hub's cache, or taken from there when the hub cannot be
    reached (HF_HUB_OFFLINE is honoured). Only configuration, tokenizer and safetensors files are
    ever fetched.

    Args:
        name: A folder, or an id on the Hugging Face hub: "ID" or "ID@REVISION".

    Returns:
        A folder with a config.json and safetensors weights.

    Raises:
        EncoderError: When there is no such model, or it cannot be downloaded, or files are missing.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        repo_id, _, revision = name.partition("@")
        folder = _download(name, repo_id, revision or None)
    weight_files(folder, name)
    return folder


def weight_files(folder: Path, name: str) -> list[Path]:
    """Return the safetensors files of the model in a folder, in a stable order.

    Args:
        folder: The folder of a model.
        name: What messages call the model.

    Raises:
        EncoderError: When the folder lacks a config.json, or weights as safetensors.
    """
    if not (folder / "config.json").is_file():
        raise EncoderError(
            f"{name}: not a model folder, there is no config.json in it; "
            "name the folder that save_pretrained or `hf download` wrote"
        )
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / WEIGHTS_INDEX
    if not index.is_file():
        raise EncoderError(
            f"{name}: no safetensors weights, and pickled ones (.bin) are never loaded because "
            "they can run code; if you trust the model, load it with transformers, save it with "
            "save_pretrained(DIR) and pass DIR, or name a revision that has safetensors "
            "(ID@refs/pr/N)"
        )
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError) as error:
        raise EncoderError(f"{name}: {WEIGHTS_INDEX} is broken; download it again") from error
    for shard in shards:
        if not (folder / shard).is_file():
            raise EncoderError(f"{name}: the weights file {shard} is missing; download it again")
    return [folder / shard for shard in shards]


def folder_kind(name: str, folder: Path) -> str | None:
    """Return the kind of a model folder that mm-milvus wrote: `DUAL` or `EXPORTED`.

    Args:
        name: What messages call the model.
        folder: Any folder.

    Returns:
        The kind; None when mm-milvus did not write the folder.

    Raises:
        EncoderError: When the folder's description cannot be read.
    """
    path = folder / CONFIG
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise broken_config(name, error) from error


def broken_config(name: str, error: Exception) -> EncoderError:
    """Return the error of a folder whose `CONFIG` cannot be read."""
    return EncoderError(
        f"{name}: {CONFIG} is broken ({type(error).__name__}: {first_line(error)}); "
        "train or export the model again"
    )


def _download(name: str, repo_id: str, revision: str | None) -> Path:
    from huggingface_hub import errors, snapshot_download

    try:
        with quiet("huggingface_hub"):
            return Path(
                snapshot_download(
                    repo_id,
                    revision=revision,
                    allow_patterns=MODEL_FILES,
                    ignore_patterns=[OTHER_FOLDERS],
                    local_files_only=not _hub_answers(),
                )
            )
    except errors.HFValidationError:
        reason = "not a folder here, and not a valid id of the hub"
    except errors.GatedRepoError:
        reason = "the hub requires that you accepted its terms and ran `hf auth login`"
    except errors.RepositoryNotFoundError:
        reason = "not a folder here, and the hub has no such model, or it is private"
    except errors.RevisionNotFoundError:
        reason = f"the hub has the model, but no revision {revision}"
    except errors.LocalEntryNotFoundError:
        why = "HF_HUB_OFFLINE is set" if _offline() else "the hub cannot be reached"
        reason = f"not a folder here, not complete in the hub's cache, and {why}"
    except Exception as error:
        reason = f"the download failed ({type(error).__name__}: {first_line(error)})"
    raise EncoderError(
        f"{name}: {reason}; download the model where there is network access (`hf download`) "
        "and name its folder, or use the bundled model compact"
    )


def _hub_answers() -> bool:
    """Return whether the hub answers in time; its client waits forever for dropped packets."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_TIMEOUT_S)
    except Exception:
        return False
    return True


def _offline() -> bool:
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Silence a library's loggers inside the block; what matters is raised as an EncoderError."""
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
