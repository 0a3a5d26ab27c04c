"""Encoders: what maps images and texts into one space, and how one is had by its name.

Importing this package imports neither torch nor transformers; `load_encoder` does, for the
models that need them.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import cast

from mm_milvus.encoders.base import Encoder, EncoderIdentity, EncoderSpec
from mm_milvus.errors import EncoderError, MmMilvusError

__all__ = ["ENTRY_POINT_GROUP", "Encoder", "EncoderIdentity", "EncoderSpec", "load_encoder"]

ENTRY_POINT_GROUP = "mm_milvus.encoders"
"""Third parties add an encoder as an entry point of this group: a callable that takes nothing
and returns an `Encoder`; the entry point's name is the model's name."""


def load_encoder(name: str, *, device: str | None = None, batch_size: int | None = None) -> Encoder:
    """Load an encoder by its name.

    name        looked up in this order: "compact", the encoder inside the package; an entry
                point of `ENTRY_POINT_GROUP`; a folder that `mm-milvus train`, `mm-milvus export`
                or a transformers model's save_pretrained wrote; an id of the Hugging Face hub,
                "ID" or "ID@REVISION" (a branch, tag, commit or refs/pr/N)
    device      a torch device for a transformers model ("cpu", "cuda", "cuda:1"); None: the GPU
                where there is one
    batch_size  images a device call of a transformers model; None: by the device

    Raises EncoderError, whose line names the model, the reason and the remedy.
    """
    if name == "compact":
        from mm_milvus.encoders.compact.encoder import load_compact

        return load_compact()
    if entry := _entry_point(name):
        return _load_entry_point(entry)
    if Path(name).is_dir():
        # A data set remembers this name, and is asked from other folders.
        name = str(Path(name).resolve())
        if ours := _load_ours(name, device, batch_size):
            return ours
    from mm_milvus.encoders.snapshot import find_model

    # Finding comes before torch is imported: a model that is not there is told at once.
    folder = find_model(name)
    from mm_milvus.encoders.transformers.clip import load_hub

    return load_hub(name, folder, device=device, batch_size=batch_size)


def as_encoder(model: str | Encoder) -> Encoder:
    """Load an encoder that is named; return any other unchanged."""
    return load_encoder(model) if isinstance(model, str) else model


def _load_ours(name: str, device: str | None, batch_size: int | None) -> Encoder | None:
    """The encoder in a folder that mm-milvus wrote; None: somebody else did."""
    from mm_milvus.encoders.folder import DUAL, EXPORTED, kind_of

    kind = kind_of(name, Path(name))
    if kind == DUAL:
        from mm_milvus.encoders.trained.dual import load_dual

        return load_dual(name, Path(name), device=device, batch_size=batch_size)
    if kind == EXPORTED:
        from mm_milvus.encoders.exported.encoder import load_exported

        return load_exported(name, device=device, batch_size=batch_size)
    return None


def _entry_point(name: str) -> EntryPoint | None:
    found = list(entry_points(group=ENTRY_POINT_GROUP, name=name))
    if len(found) > 1:
        owners = " and ".join(sorted(entry.dist.name for entry in found if entry.dist))
        raise EncoderError(f"{name}: {owners} both add an encoder of this name; uninstall one")
    return found[0] if found else None


def _load_entry_point(entry: EntryPoint) -> Encoder:
    try:
        return cast("Encoder", entry.load()())
    except MmMilvusError:
        raise
    except Exception as error:
        owner = f" of {entry.dist.name}" if entry.dist else ""
        raise EncoderError(
            f"{entry.name}: the encoder {entry.value}{owner} failed to load "
            f"({type(error).__name__}: {error}); reinstall or update that package"
        ) from error
