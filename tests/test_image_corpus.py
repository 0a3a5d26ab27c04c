"""The script that compares a folder of images with Pillow."""

from __future__ import annotations

import numpy as np
from scripts.check_image_corpus import DEPTH, KEY, SIGNED, check, main

from image_files import tiff
from test_images_decoding import files


def test_generated_files_of_every_kind_are_equal_or_deviate_for_a_reason(tmp_path, capfd):
    for name, data in files().items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "cut.png").write_bytes(files()["alpha.png"][:-60])
    (tmp_path / "drawing.svg").write_text("<svg/>")
    assert main([str(tmp_path)]) == 0
    output = capfd.readouterr().out
    assert f"{len(files()) + 2} files" in output
    assert "| other | is SVG, which is not read | 1 |" in output
    assert "| PNG | is truncated | 1 |" in output


def test_deviations_from_pillow_have_their_reasons():
    signed = tiff(np.array([[0, 100]], np.int8), 8, sample_format=2)
    assert check(signed) == (("TIFF", "L"), SIGNED, b"")
    assert check(files()["12.tif"])[1] == DEPTH
    assert check(files()["4-bit-key.png"])[1] == KEY
    assert check(files()["turned.jpg"])[1] == "equal"


def test_a_wrong_pixel_is_reported(tmp_path, monkeypatch, capfd):
    (tmp_path / "a.png").write_bytes(files()["alpha.png"])
    monkeypatch.setattr("scripts.check_image_corpus.decode", lambda _: np.zeros((12, 17, 3)))
    assert main([str(tmp_path)]) == 1
    assert "differs by" in capfd.readouterr().out
