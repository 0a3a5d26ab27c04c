"""The description of an exported folder: its mm_milvus.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any, Self

from mm_milvus.choices import ExportFormat
from mm_milvus.encoders.base import DEFAULT_LOGIT_SCALE
from mm_milvus.encoders.snapshot import CONFIG, EXPORTED
from mm_milvus.errors import EncoderError
from mm_milvus.images.preprocessing import Preprocessing
from mm_milvus.text import one_line

TOKENIZER = "tokenizer.json"

WORDS = "tokenizer.words.txt"
"""The vocabulary of the spelling correction, one word per line, if the encoder has one."""

GRAPH_SUFFIX: dict[ExportFormat, str] = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".pt"}

NOT_IN_FINGERPRINT = ("origin", "origin_fingerprint", "logit_scale", "logit_bias")
"""Facts that no vector depends on."""

DIGEST_BYTES = 8
FILE_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Padding:
    """How the texts of a batch are padded to one length.

    Attributes:
        to: "longest" of the batch, or "max_length": the maximum length of the model.
        side: "right" or "left".
        values: The padding value of each input of the text graph, in the order of the graph.
    """

    to: str
    side: str
    values: dict[str, int]


@dataclass(frozen=True, slots=True)
class ExportedConfig:
    """The facts of an exported encoder.

    Attributes:
        format: Format of the graphs.
        int8: Whether matrix products are quantised to 8 bits.
        origin: The name of the exported model, as `load_encoder` was given it.
        origin_fingerprint: The fingerprint of that model.
        dim: Length of a vector.
        max_tokens: Texts are truncated to this number of tokens, also by the tokenizer's file.
        preprocessing: How images become pixels.
        padding: How texts are padded.
        files: The BLAKE2b-128 of each file, 32 hex digits, by file name.
        logit_scale: As in the original's spec.
        logit_bias: As in the original's spec.
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
        """16 hex digits over everything that vectors depend on: the files and their inputs."""
        facts = asdict(self)
        for name in NOT_IN_FINGERPRINT:
            del facts[name]
        document = json.dumps(facts, sort_keys=True).encode()
        return blake2b(document, digest_size=DIGEST_BYTES).hexdigest()

    def save(self, folder: Path) -> None:
        """Write mm_milvus.json into a folder."""
        document = {"kind": EXPORTED, **asdict(self), "fingerprint": self.fingerprint}
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        (folder / CONFIG).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the mm_milvus.json of a folder.

        Raises:
            EncoderError: When it is not one that `save` wrote.
        """
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
                f"{folder}: its {CONFIG} cannot be read ({one_line(error)}); export it again"
            ) from error


def digest(path: Path) -> str:
    """Return the BLAKE2b-128 of a file: 32 hex digits."""
    with path.open("rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=FILE_DIGEST_BYTES)).hexdigest()


def _preprocessing(facts: dict[str, Any]) -> Preprocessing:
    mean, std = tuple(facts.pop("mean")), tuple(facts.pop("std"))
    return Preprocessing(**facts, mean=mean, std=std)
