"""Load parts of a model from a folder with transformers, with one-line errors for broken files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mm_milvus.encoders.snapshot import quiet
from mm_milvus.errors import EncoderError, MmMilvusError
from mm_milvus.text import first_line

LOCAL: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
"""Neither reach the network nor run a model's own code."""


def load_config(folder: Path) -> Any:
    """Load the configuration of the model in a folder."""
    import transformers

    return transformers.AutoConfig.from_pretrained(folder, **LOCAL)


def load_model(
    auto_class: Any, name: str, folder: Path, dtype: torch.dtype, *, unused: str | None = None
) -> Any:
    """Load the model in a folder, for inference.

    Args:
        auto_class: One of the Auto classes of transformers, or a model class.
        name: What messages call the model.
        folder: The folder of the model.
        dtype: Of the weights.
        unused: Prefix of the weights that may be missing, since they are not used.

    Raises:
        EncoderError: When other weights are missing: transformers would initialise them randomly.
    """
    model, report = auto_class.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **LOCAL
    )
    missing = [key for key in report["missing_keys"] if not (unused and key.startswith(unused))]
    if missing:
        raise EncoderError(
            f"{name}: its files lack {len(missing)} tensors of the model ({min(missing)}, ...), "
            "which would be random; download the whole model again, or choose another"
        )
    return model.eval()


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer in a folder."""
    import transformers

    return transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)


def load_processor(folder: Path) -> Any:
    """Load the image processor in a folder, with its Pillow backend."""
    import transformers

    return transformers.AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
        folder, backend="pil", **LOCAL
    )


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Silence transformers inside the block, and convert its errors into an `EncoderError`.

    Args:
        name: What messages call the model.

    Raises:
        EncoderError: For anything that a broken or unsupported model makes transformers raise.
    """
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with quiet("transformers"):
            yield
    except MmMilvusError:
        raise
    except ImportError as error:
        raise EncoderError(
            f"{name}: {first_line(error).split('. ')[0]}; install that library with pip "
            "(SigLIP's first generation needs sentencepiece)"
        ) from error
    except Exception as error:
        raise EncoderError(
            f"{name}: the model cannot be loaded ({type(error).__name__}: {first_line(error)}); "
            "download it again, or choose another"
        ) from error
    finally:
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
