"""Where a model's files are: a folder here, or a download from the Hugging Face hub."""

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
"""What a model keeps for other runtimes; a sentence model tells its pooling in `1_Pooling`."""

HUB_TIMEOUT_S = 10.0


def find_model(name: str) -> Path:
    """The folder that holds the files of the model `name`: a folder, "ID" or "ID@REVISION".

    A hub model is downloaded into the hub's cache, or taken from there when the hub is away
    (HF_HUB_OFFLINE is honoured). Only configuration, tokenizer and safetensors files are ever
    fetched. Raises EncoderError.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        repo_id, _, revision = name.partition("@")
        folder = _download(name, repo_id, revision or None)
    weight_files(folder, name)
    return folder


def weight_files(folder: Path, name: str) -> list[Path]:
    """The safetensors files of the model in `folder`, in a stable order; raises EncoderError."""
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
            "they can run code; where you trust the model, load it with transformers and save it "
            "with save_pretrained(DIR), then pass DIR, or name a revision that has them "
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
        reason = "not a folder here, and not a name that the hub could have"
    except errors.GatedRepoError:
        reason = "the hub gives it only to those who accepted its terms and ran `hf auth login`"
    except errors.RepositoryNotFoundError:
        reason = "not a folder here, and the hub has no such model, or it is private"
    except errors.RevisionNotFoundError:
        reason = f"the hub has the model, but no revision {revision}"
    except errors.LocalEntryNotFoundError:
        why = "HF_HUB_OFFLINE is set" if _offline() else "the hub cannot be reached"
        reason = f"not a folder here, not whole in the hub's cache, and {why}"
    except Exception as error:
        reason = f"the download failed ({type(error).__name__}: {first_line(error)})"
    raise EncoderError(
        f"{name}: {reason}; download a model where there is network with "
        "`hf download ID --local-dir DIR` and pass DIR, or use --model compact"
    )


def _hub_answers() -> bool:
    """Whether the hub answers in time: its own client waits for ever where packets vanish."""
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
    """Keep the library's loggers from writing, inside the block.

    What matters of it reaches the user as the one line of an EncoderError.
    """
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
