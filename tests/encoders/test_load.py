"""A model is loaded by its name, or one line says why not and what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from entry_points import install

from mm_milvus.encoders.load import load_encoder
from mm_milvus.errors import EncoderError

Folder = Callable[[str], Path]


def test_importing_the_package_imports_no_model_library() -> None:
    program = (
        "import sys, mm_milvus as m; m.Encoder, m.EncoderSpec, m.load_encoder;"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_folder_takes_precedence_over_the_hub_even_with_an_at_sign(
    model_folder: Folder, tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder("clip"), tmp_path / "clip@home")
    assert load_encoder(str(folder), device="cpu").spec.id == str(folder)


def test_a_folder_with_only_pickled_weights_is_rejected(clip_copy: Path) -> None:
    weights = clip_copy / "model.safetensors"
    weights.unlink()
    torch.save({}, clip_copy / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"pickled ones \(\.bin\) are never loaded"):
        load_encoder(str(clip_copy))


def test_a_folder_without_a_model_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"no config\.json in it"):
        load_encoder(str(tmp_path))


def test_a_missing_shard_is_named(model_folder: Folder, tmp_path: Path) -> None:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(model_folder("clip"))
    model.save_pretrained(tmp_path, max_shard_size="30KB")
    shard = min(tmp_path.glob("model-*.safetensors"))
    shard.unlink()
    with pytest.raises(EncoderError, match=f"{shard.name} is missing; download it again"):
        load_encoder(str(tmp_path))


def test_a_broken_index_of_shards_is_named(clip_copy: Path) -> None:
    (clip_copy / "model.safetensors").unlink()
    (clip_copy / "model.safetensors.index.json").write_text('{"weight_map":')
    with pytest.raises(EncoderError, match=r"index\.json is broken; download it again"):
        load_encoder(str(clip_copy))


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_broken_file_is_a_one_line_error(
    clip_copy: Path, file: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content = (clip_copy / file).read_bytes()
    (clip_copy / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(EncoderError, match="the model cannot be loaded") as error:
        load_encoder(str(clip_copy), device="cpu")
    assert len(str(error.value).splitlines()) == 1
    assert capfd.readouterr().err == ""


def test_loading_a_model_writes_nothing(
    model_folder: Folder, capfd: pytest.CaptureFixture[str]
) -> None:
    load_encoder(str(model_folder("clip")), device="cpu").encode_texts(["red dress"])
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


def test_a_third_party_adds_an_encoder(site: Path) -> None:
    install(site, "acme_encoders", {"acme": "acme_encoders:Acme"})
    encoder = load_encoder("acme")
    assert encoder.spec.id == "acme_encoders"
    assert encoder.encode_texts(["a", "b"]).shape == (2, 2)


def test_a_third_party_encoder_that_fails_is_named(site: Path) -> None:
    install(site, "acme_broken", {"acme": "acme_broken:broken"})
    with pytest.raises(EncoderError, match=r"acme_broken:broken of acme_broken .*no licence key"):
        load_encoder("acme")


def test_two_encoders_of_the_same_name_are_rejected(site: Path) -> None:
    install(site, "acme_one", {"acme": "acme_one:Acme"})
    install(site, "acme_two", {"acme": "acme_two:Acme"})
    with pytest.raises(EncoderError, match="acme_one and acme_two both add"):
        load_encoder("acme")
