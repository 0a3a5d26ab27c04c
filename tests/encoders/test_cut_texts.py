"""A text that is longer than an encoder reads: a warning, once, from every tokenizer."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest

from mm_milvus import CutTextWarning, load_encoder
from mm_milvus.exporting.export import export

ENCODERS = ["compact", "clip", "siglip", "exported"]


@pytest.fixture
def encoder(request, model_folder, tmp_path):
    if request.param == "compact":
        return load_encoder("compact")
    if request.param == "exported":
        export("compact", tmp_path / "graphs")
        return load_encoder(str(tmp_path / "graphs"))
    return load_encoder(str(model_folder(request.param)))


@pytest.mark.parametrize("encoder", ENCODERS, indirect=True)
def test_a_text_that_is_cut_is_warned_of_and_a_shorter_one_is_not(encoder):
    limit = encoder.spec.max_tokens
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode_texts(["a red dress", "a " * (limit // 2 - 2)])
    with pytest.warns(CutTextWarning, match=f"at most {limit} tokens"):
        encoder.encode_texts(["a red dress", "a " * (2 * limit)])


PROGRAM = """
from mm_milvus import load_encoder

encoder = load_encoder("compact")
for n in range(3):
    encoder.encode_texts([f"number {n} " * 200])
"""


def test_the_warning_is_shown_once():
    shown = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert shown.stderr.count("CutTextWarning: the encoder reads at most") == 1
