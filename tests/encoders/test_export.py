"""An exported encoder gives the vectors of its original, or nothing is written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mm_milvus.encoders.base import Encoder
from mm_milvus.encoders.exported.config import ExportedConfig
from mm_milvus.encoders.exported.encoder import ExportedEncoder
from mm_milvus.encoders.load import load_encoder
from mm_milvus.encoders.torch.fingerprint import PROBE_TEXTS
from mm_milvus.errors import EncoderError, OptionError, OutputError
from mm_milvus.exporting.export import ExportReport, export

Folder = Callable[[str], Path]
Export = Callable[..., tuple[str, ExportReport]]

ROUND_TRIPS = [
    ("compact", "onnx", False),
    ("compact", "onnx", True),
    ("compact", "torchscript", True),
    ("clip", "onnx", False),
    ("clip", "torchscript", False),
    ("siglip", "onnx", False),
    ("chinese_clip", "openvino", False),
    ("dual", "onnx", False),
    ("dual", "openvino", False),
    ("chinese_clip", "torchscript", False),
]
TEXTS = ["", "red", "a photo of a red dress", *PROBE_TEXTS, "红色的连衣裙 " * 200, "red"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small graphs gain nothing from threads, which wait long for one another on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def exported(model_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Return an exported model and the report of its export, which runs once."""
    root = tmp_path_factory.mktemp("exported")
    made: dict[tuple[str, str, bool], ExportReport] = {}

    def make(name: str, kind: str = "onnx", int8: bool = False) -> tuple[str, ExportReport]:
        model = name if name == "compact" else str(model_folder(name))
        key = name, kind, int8
        if key not in made:
            made[key] = export(model, root / f"{name}-{kind}-{int8}", format=kind, int8=int8)
        return model, made[key]

    return make


def pixels_of(encoder: Encoder, count: int) -> np.ndarray:
    shape = encoder.spec.preprocessing.height, encoder.spec.preprocessing.width, 3
    random = np.random.default_rng(count)
    return random.integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.parametrize(("name", "kind", "int8"), ROUND_TRIPS)
def test_a_round_trip_keeps_the_vectors(exported: Export, name: str, kind: str, int8: bool) -> None:
    model, report = exported(name, kind, int8)
    original = load_encoder(model, device="cpu")
    least = 0.99 if int8 else 0.99999
    assert min(report.image_cosine, report.text_cosine) >= least
    for batch_size in (1, 3, None):
        copy = load_encoder(report.folder, batch_size=batch_size)
        assert isinstance(copy, ExportedEncoder)
        texts = copy.encode_texts(TEXTS)
        assert (texts.dtype, texts.shape) == (np.float32, (len(TEXTS), original.spec.dim))
        np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
        assert (texts * original.encode_texts(TEXTS)).sum(axis=1).min() >= least
        for count in (1, 5):
            pixels = pixels_of(original, count)
            images = copy.encode_images(pixels)
            assert (images.dtype, images.shape) == (np.float32, (count, original.spec.dim))
            # Parity of int8 is guaranteed for pictures, and noise is not one.
            assert (images * original.encode_images(pixels)).sum(axis=1).min() >= least - 0.02


def test_the_spec_is_the_originals_but_for_its_name_and_fingerprint(exported: Export) -> None:
    model, report = exported("chinese_clip", "openvino")
    original, copy = load_encoder(model, device="cpu").spec, load_encoder(report.folder).spec
    assert (copy.dim, copy.preprocessing, copy.max_tokens) == (
        original.dim,
        original.preprocessing,
        original.max_tokens,
    )
    assert copy.id == report.folder
    assert copy.fingerprint == report.fingerprint != original.fingerprint
    assert len(copy.fingerprint) == 16
    facts = json.loads((Path(report.folder) / "mm_milvus.json").read_text())
    assert (facts["kind"], facts["format"], facts["int8"]) == ("exported", "openvino", False)
    assert facts["origin_fingerprint"] == original.fingerprint
    assert list(facts["padding"]["values"]) == ["input_ids", "token_type_ids", "attention_mask"]


@pytest.mark.parametrize(("name", "kind"), [("siglip", "onnx"), ("dual", "onnx")])
def test_the_logit_scale_and_bias_are_exported(exported: Export, name: str, kind: str) -> None:
    model, report = exported(name, kind)
    original, copy = load_encoder(model, device="cpu").spec, load_encoder(report.folder).spec
    assert (copy.logit_scale, copy.logit_bias) == (original.logit_scale, original.logit_bias)


def test_the_logit_scale_is_not_in_the_fingerprint(exported: Export) -> None:
    config = ExportedConfig.load(Path(exported("siglip")[1].folder))
    assert replace(config, logit_scale=1.0, logit_bias=None).fingerprint == config.fingerprint


def test_each_export_of_a_model_has_its_own_fingerprint(exported: Export) -> None:
    reports = [exported("compact", "onnx", int8)[1] for int8 in (False, True)]
    reports.append(exported("siglip")[1])
    assert len({report.fingerprint for report in reports}) == 3


def test_empty_input_gives_empty_output(exported: Export) -> None:
    copy = load_encoder(exported("compact")[1].folder)
    assert copy.encode_texts([]).shape == (0, 256)
    assert copy.encode_images(pixels_of(copy, 0)).shape == (0, 256)


def test_a_lone_surrogate_is_read_as_a_question_mark(exported: Export) -> None:
    copy = load_encoder(exported("compact")[1].folder)
    np.testing.assert_array_equal(copy.encode_texts(["\udcff"]), copy.encode_texts(["?"]))


def test_pixels_of_another_size_are_rejected(exported: Export) -> None:
    copy = load_encoder(exported("compact")[1].folder)
    with pytest.raises(EncoderError, match=r"must be uint8 \(n, 224, 224, 3\), not uint8 \(1, 9"):
        copy.encode_images(np.zeros((1, 9, 9, 3), np.uint8))


@pytest.mark.parametrize(("name", "kind"), [("compact", "onnx"), ("chinese_clip", "openvino")])
def test_a_text_query_imports_neither_torch_nor_transformers(
    exported: Export, name: str, kind: str
) -> None:
    folder = exported(name, kind)[1].folder
    program = (
        "import sys; from mm_milvus.encoders.load import load_encoder;"
        f"rows = load_encoder({folder!r}).encode_texts(['red dress']); assert len(rows) == 1;"
        "assert not {'torch', 'transformers', 'onnx'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_interrupt_outlives_openvino_encoders(exported: Export) -> None:
    program = (
        "import gc, signal; from mm_milvus.encoders.load import load_encoder;"
        "signal.signal(signal.SIGUSR1, lambda *_: print('heard'));"
        f"encoders = [load_encoder({exported('dual', 'openvino')[1].folder!r}) for _ in range(3)];"
        "[encoder.encode_texts(['a']) for encoder in encoders];"
        "del encoders[0]; gc.collect(); encoders.clear(); gc.collect();"
        "signal.raise_signal(signal.SIGUSR1)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


def test_a_model_whose_vectors_differ_is_not_exported(
    model_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mm_milvus.exporting.export.LEAST_COSINE_INT8", 0.99999)
    output = tmp_path / "clip-int8"
    # The tokenizer's trainer breaks ties differently in each process, and so the digits differ.
    with pytest.raises(EncoderError, match=r"has a cosine of 0\.9\d+ to the original, under") as e:
        export(str(model_folder("clip")), output, format="torchscript", int8=True)
    assert str(e.value).endswith("export without `int8`")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="already exists"):
        export("compact", tmp_path)
    with pytest.raises(OutputError, match="already exists"):
        export("compact", tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    output = tmp_path / "new"
    output.mkdir()
    export("compact", output, format="torchscript")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert load_encoder(str(output)).encode_texts(["cat"]).shape == (1, 256)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"format": "gguf"}, "`format` is gguf, and must be one of onnx, openvino, torchscript"),
        ({"format": "openvino", "int8": True}, "cannot be quantised to int8 here"),
    ],
)
def test_options_are_checked_before_the_model_is_loaded(
    tmp_path: Path, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(OptionError, match=reason):
        export("a model that does not exist", tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_runtime_is_named_with_its_extra(exported: Export) -> None:
    folder = exported("compact")[1].folder
    program = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from mm_milvus.encoders.load import load_encoder\n"
        f"load_encoder({folder!r})"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stderr.splitlines()[-1] == (
        "mm_milvus.errors.MissingExtraError: a model in the format onnx needs onnxruntime, which "
        "is not installed: pip install 'mm-milvus[onnx]'"
    )


@pytest.fixture
def damaged(exported: Export, tmp_path: Path) -> Path:
    """A copy of an exported folder that a test may damage."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in Path(exported("compact")[1].folder).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_a_changed_file_is_detected_when_it_is_first_used(damaged: Path) -> None:
    with (damaged / "image.onnx").open("r+b") as file:
        file.seek(9_000_000)
        file.write(b"spoiled")
    encoder = load_encoder(str(damaged))
    assert encoder.encode_texts(["cat"]).shape == (1, 256)
    with pytest.raises(EncoderError, match=r"image\.onnx is not the file that was exported"):
        encoder.encode_images(pixels_of(encoder, 1))


def test_a_missing_file_is_named(damaged: Path) -> None:
    (damaged / "text.onnx").unlink()
    with pytest.raises(EncoderError, match=r"text\.onnx is missing; export the model again"):
        load_encoder(str(damaged)).encode_texts(["cat"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "exported"}', "\0"])
def test_a_broken_description_is_a_one_line_error(damaged: Path, text: str) -> None:
    (damaged / "mm_milvus.json").write_text(text)
    with pytest.raises(EncoderError, match=r"mm_milvus\.json") as error:
        load_encoder(str(damaged))
    assert "\n" not in str(error.value)


def test_an_exported_encoder_runs_only_on_the_cpu(exported: Export) -> None:
    with pytest.raises(EncoderError, match="runs on the CPU, not on cuda"):
        load_encoder(exported("compact")[1].folder, device="cuda")


def test_an_exported_encoder_cannot_be_exported_again(exported: Export, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="has no torch modules to export"):
        export(exported("compact")[1].folder, tmp_path / "again")
    assert list(tmp_path.iterdir()) == []
