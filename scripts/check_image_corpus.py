"""Decode every file of a folder, compare the pixels with Pillow's, and print a table.

    python -m scripts.check_image_corpus FOLDER...

Pillow's pixels are those of `Image.open`, upright by EXIF and, where transparent, on white. A file
is equal, deviates for a reason that is named, is rejected, or differs without a reason; the exit
status is 1 if any file differs, or if a decoder writes to the terminal. Pillow's own test images
are in its source distribution: `pip download --no-deps --no-binary :all: pillow`.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mm_milvus.errors import ImageError
from mm_milvus.images.decoding import decode
from mm_milvus.images.formats import FORMATS

ROUNDING = 1
"""Largest difference of a pixel that is not reported: two ways of blending round differently."""

DEPTH = "scaled by the depth that the file declares; Pillow cuts off at 255"
SIGNED = "signed bytes: 127 is white, and negative is black"
KEY = "the transparent value is compared at the file's depth"
ONLY_HERE = "read here; Pillow fails"


def main(folders: list[str]) -> int:
    """Check the files below the folders; return the exit status."""
    warnings.simplefilter("ignore")
    kinds: Counter[tuple[str, str, str]] = Counter()
    reasons: Counter[str] = Counter()
    differing: list[str] = []
    for path in sorted(path for folder in folders for path in Path(folder).rglob("*")):
        if not path.is_file():
            continue
        kind, outcome, noise = check(path.read_bytes())
        if outcome.startswith("rejected: "):
            reasons[kind[0] + ": " + generalised(outcome.removeprefix("rejected: "))] += 1
            outcome = "rejected"
        kinds[(*kind, outcome)] += 1
        if outcome.startswith("differs") or noise:
            differing.append(f"{path}: {outcome} {noise!r}")
    print_tables(kinds, reasons)
    print(*differing, sep="\n")
    return 1 if differing else 0


def check(data: bytes) -> tuple[tuple[str, str], str, bytes]:
    """Return (format, mode) by Pillow, what came of a file, and what was written to stderr."""
    with stderr_of_process() as written:
        try:
            ours: NDArray[np.uint8] | str = np.asarray(decode(data))
        except ImageError as error:
            ours = f"rejected: {error}"
        noise = written()
    if isinstance(ours, str):
        name = supported_format(data)
        if name != "other" and "over the limit" not in ours and pillow_reads(data):
            ours = f"differs: {ours}, and Pillow reads it"
        return (name, "-"), ours, noise
    kind, theirs = by_pillow(data)
    return kind, compare(ours, theirs, kind[1], data), noise


def compare(
    ours: NDArray[np.uint8], theirs: NDArray[np.uint8] | None, mode: str, data: bytes
) -> str:
    """Return "equal", a reason for a deviation, or how much the pixels differ."""
    if theirs is None:
        return ONLY_HERE
    if ours.shape != theirs.shape:
        return f"differs: {ours.shape} and {theirs.shape}"
    largest = int(np.abs(ours.astype(int) - theirs).max())
    if largest <= ROUNDING:
        return "equal"
    if mode.startswith("I") or mode == "F":
        return DEPTH
    with Image.open(io.BytesIO(data)) as image:
        if mode == "L" and 2 in getattr(image, "tag_v2", {}).get(339, ()):
            return SIGNED
        if image.format == "PNG" and "transparency" in image.info:
            return KEY
    return f"differs by {largest}"


def by_pillow(data: bytes) -> tuple[tuple[str, str], NDArray[np.uint8] | None]:
    """Return the format and mode of a file, and its pixels; None where Pillow fails."""
    with Image.open(io.BytesIO(data)) as image:
        kind = ("JPEG" if image.format == "MPO" else image.format or "?", image.mode)
        try:
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "La":
                upright = upright.convert("LA")
            if not upright.has_transparency_data or upright.mode.startswith("I"):
                return kind, np.asarray(upright.convert("RGB"))
            upright = upright.convert("RGBA")
            white = Image.new("RGBA", upright.size, "white")
            return kind, np.asarray(Image.alpha_composite(white, upright).convert("RGB"))
        except Exception:  # decoders raise almost every class of error
            return kind, None


def pillow_reads(data: bytes) -> bool:
    """Return whether Pillow decodes a file."""
    try:
        return by_pillow(data)[1] is not None
    except Exception:
        return False


def supported_format(data: bytes) -> str:
    """Return the supported format that a file begins like."""
    for name in FORMATS:
        accepts = Image.OPEN[name][1] if name in Image.OPEN else None
        if accepts is not None and accepts(data[:16]):
            return name
    return "other"


def generalised(reason: str) -> str:
    """Leave the parts of a reason out that are particular to a file."""
    reason = re.sub(r"begins with .*", "begins with ...", reason)
    return re.sub(r"\d[\d,]*", "N", reason.split(": convert it")[0])


@contextmanager
def stderr_of_process() -> Iterator[Callable[[], bytes]]:
    """Catch what anything in the process writes to file descriptor 2."""
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:

            def written() -> bytes:
                file.seek(0)
                return file.read(200)

            yield written
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def print_tables(kinds: Counter[tuple[str, str, str]], reasons: Counter[str]) -> None:
    """Print the tables in Markdown."""
    print("| Format | Mode | Files | Equal | Deviating |")
    print("|---|---|---|---|---|")
    rows = sorted({(name, mode) for name, mode, outcome in kinds if outcome != "rejected"})
    for row in rows:
        outcomes = {outcome: kinds[key] for key in kinds if (outcome := key[2]) and key[:2] == row}
        equal = outcomes.pop("equal", 0)
        others = "; ".join(f"{count}: {text}" for text, count in sorted(outcomes.items()))
        print(f"| {row[0]} | {row[1]} | {equal + sum(outcomes.values())} | {equal} | {others} |")
    print("\n| Rejected | Reason | Files |\n|---|---|---|")
    for reason, count in sorted(reasons.items()):
        name, _, text = reason.partition(": ")
        print(f"| {name} | {text} | {count} |")
    print(f"\n{sum(kinds.values())} files")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
