"""What an exported folder says of itself: its mm_milvus.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any, Self

from mm_milvus.choices import ExportFormat
from mm_milvus.encoders.base import DEFAULT_LOGIT_SCALE
from mm_milvus.encoders.folder import CONFIG, EXPORTED
from mm_milvus.errors import EncoderError
from mm_milvus.images.preprocessing import Preprocessing

TOKENIZER = "tokenizer.json"

WORDS = "tokenizer.words.txt"
"""The words of the spelling correction, a line each, where the encoder has one."""

GRAPH_SUFFIX: dict[ExportFormat, str] = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".pt"}

NO_PART_OF_VECTORS = ("origin", "origin_fingerprint", "logit_scale", "logit_bias")
"""The facts that the fingerprint leaves out."""

DIGEST_BYTES = 8
FILE_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Padding:
    """How texts of a batch are brought to one length.

    to      "longest" of the batch, or "max_length": the model's longest text
    side    "right" or "left"
    values  the inputs of the text graph, in its order, each with what it is padded with
    """

    to: str
    side: str
    values: dict[str, int]


@dataclass(frozen=True, slots=True)
class ExportedConfig:
    """The facts of an exported encoder.

    format              of the graphs
    int8                whether matrix products are quantised to 8 bits
    origin              what `load_encoder` was given for the model that was exported
    origin_fingerprint  of that model
    dim                 the length of a vector
    max_tokens          texts are cut to this many tokens; the tokenizer's file says so too
    preprocessing       of images
    padding             of texts
    files               each file, with the 32 hex digits of its BLAKE2b-128
    logit_scale, logit_bias  those of the original's spec
    """

    format: ExportFormat
    int8: bool
    origin: str
    origin_fingerprint: str
    dim: int
    max_tokens: int
    preprocessing: Preprocessing
    padding: Padding
    files: dict[str, str]
    logit_scale: float = DEFAULT_LOGIT_SCALE
    logit_bias: float | None = None

    @property
    def fingerprint(self) -> str:
        """16 hex digits over all that makes the vectors: the files, and how they are fed."""
        facts = asdict(self)
        for name in NO_PART_OF_VECTORS:
            del facts[name]
        document = json.dumps(facts, sort_keys=True).encode()
        return blake2b(document, digest_size=DIGEST_BYTES).hexdigest()

    def save(self, folder: Path) -> None:
        """Write mm_milvus.json."""
        document = {"kind": EXPORTED, **asdict(self), "fingerprint": self.fingerprint}
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        (folder / CONFIG).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read mm_milvus.json; raises EncoderError where it is not one that `save` wrote."""
        try:
            facts = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            del facts["kind"], facts["fingerprint"]
            facts["preprocessing"] = _preprocessing(facts["preprocessing"])
            facts["padding"] = Padding(**facts["padding"])
            if facts["format"] not in GRAPH_SUFFIX:
                raise ValueError(f"no format {facts['format']}")
            return cls(**facts)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EncoderError(
                f"{folder}: its {CONFIG} cannot be read ({error}); export the model again"
            ) from error


def digest(path: Path) -> str:
    """The BLAKE2b-128 of a file, as 32 hex digits."""
    with path.open("rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=FILE_DIGEST_BYTES)).hexdigest()


def _preprocessing(facts: dict[str, Any]) -> Preprocessing:
    mean, std = tuple(facts.pop("mean")), tuple(facts.pop("std"))
    return Preprocessing(**facts, mean=mean, std=std)
