"""Load an encoder by its name, and import torch or transformers only for models that need them."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import cast

from mm_milvus.encoders.base import Encoder, EncoderSpec, check_batch_size
from mm_milvus.errors import EncoderError, MmMilvusError, OptionError
from mm_milvus.text import one_line

ENTRY_POINT_GROUP = "mm_milvus.encoders"
"""Packages add an encoder as an entry point of this group: a callable that takes no arguments and
returns an `Encoder`. The name of the entry point is the name of the encoder."""


def load_encoder(name: str, *, device: str | None = None, batch_size: int | None = None) -> Encoder:
    """Load an encoder by its name.

    Args:
        name: Looked up in this order: "compact", the bundled encoder; an entry point of the group
            `mm_milvus.encoders`; a folder written by `train`, `export` or `save_pretrained` of
            a transformers model; an id on the Hugging Face hub, "ID" or "ID@REVISION" (a branch,
            tag, commit or refs/pr/N).
        device: A torch device: "cpu", "cuda", "cuda:1" (default: the GPU where there is one).
            Exported encoders run on the CPU only; encoders of entry points choose their own.
        batch_size: Images per call of the model (default: chosen by the device); encoders of
            entry points choose their own.

    Returns:
        The encoder; its methods may be called from several threads.

    Raises:
        EncoderError: When the model does not exist, cannot be downloaded or loaded, or does not
            embed images and texts into one space; or when the device cannot be used.
        OptionError: When `batch_size` is below 1.
        MissingExtraError: When an exported encoder needs a runtime that is not installed.
    """
    check_batch_size(batch_size)
    if name == "compact":
        from mm_milvus.encoders.compact.encoder import CompactEncoder

        return CompactEncoder(device, batch_size)
    if entry := _entry_point(name):
        return _load_entry_point(entry)
    if Path(name).is_dir():
        # The name is stored with a dataset, which may be searched from another folder.
        name = str(Path(name).resolve())
        if encoder := _load_written(name, device, batch_size):
            return encoder
    from mm_milvus.encoders.snapshot import find_model

    # The files are looked up before torch is imported: a missing model is reported without delay.
    folder = find_model(name)
    from mm_milvus.encoders.transformers.clip import load_clip

    return load_clip(name, folder, device=device, batch_size=batch_size)


def as_encoder(model: str | Encoder) -> Encoder:
    """Load an encoder if given its name; return an encoder unchanged.

    Raises:
        OptionError: For an object that is neither.
    """
    if isinstance(model, str):
        return load_encoder(model)
    if not isinstance(getattr(model, "spec", None), EncoderSpec):
        raise OptionError(
            f"an encoder is given as {type(model).__name__}; give what `load_encoder` returns"
        )
    return model


def _load_written(name: str, device: str | None, batch_size: int | None) -> Encoder | None:
    """Load the encoder in a folder that mm-milvus wrote; return None for any other folder."""
    from mm_milvus.encoders.snapshot import DUAL, EXPORTED, folder_kind

    kind = folder_kind(name, Path(name))
    if kind == DUAL:
        from mm_milvus.encoders.trained.dual import load_dual

        return load_dual(name, Path(name), device=device, batch_size=batch_size)
    if kind == EXPORTED:
        from mm_milvus.encoders.exported.encoder import load_exported

        return load_exported(name, device=device, batch_size=batch_size)
    return None


def _entry_point(name: str) -> EntryPoint | None:
    entries = list(entry_points(group=ENTRY_POINT_GROUP, name=name))
    if len(entries) > 1:
        packages = " and ".join(sorted(entry.dist.name for entry in entries if entry.dist))
        raise EncoderError(f"{name}: {packages} both add an encoder of this name; uninstall one")
    return entries[0] if entries else None


def _load_entry_point(entry: EntryPoint) -> Encoder:
    try:
        return cast("Encoder", entry.load()())
    except MmMilvusError:
        raise
    except Exception as error:
        package = f" of {entry.dist.name}" if entry.dist else ""
        raise EncoderError(
            f"{entry.name}: the encoder {entry.value}{package} failed to load "
            f"({type(error).__name__}: {one_line(error)}); reinstall or update that package"
        ) from error
