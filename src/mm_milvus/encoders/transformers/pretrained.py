"""What transformers loads from a folder, with one line of error for whatever is broken in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mm_milvus.encoders.snapshot import quiet
from mm_milvus.errors import EncoderError
from mm_milvus.text import first_line

# Nothing here may reach the network or run a model's own code.
LOCAL: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}


def load_config(folder: Path) -> Any:
    """The configuration of the model in a folder."""
    import transformers

    return transformers.AutoConfig.from_pretrained(folder, **LOCAL)


def load_model(
    auto_class: Any, name: str, folder: Path, dtype: torch.dtype, *, unused: str | None = None
) -> Any:
    """The model in a folder, by one of transformers' Auto classes, for inference.

    unused  the part whose weights may be missing, since nothing is taken from it

    Raises EncoderError where other weights are missing: transformers would make them up.
    """
    model, report = auto_class.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **LOCAL
    )
    lacking = [key for key in report["missing_keys"] if not (unused and key.startswith(unused))]
    if lacking:
        raise EncoderError(
            f"{name}: its files lack {len(lacking)} tensors of the model ({min(lacking)}, ...), "
            "which would be random; download the whole model again, or choose another"
        )
    return model.eval()


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder."""
    import transformers

    return transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)


def load_processor(folder: Path) -> Any:
    """The image processor in a folder, with its Pillow backend."""
    import transformers

    return transformers.AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
        folder, backend="pil", **LOCAL
    )


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Silence transformers, and turn whatever a broken model makes it raise into one line."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with quiet("transformers"):
            yield
    except EncoderError:
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
