"""The folder that the paths of a table are relative to, and text files that are tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mm_milvus.errors import SourceError
from mm_milvus.sources.open import open_source
from mm_milvus.sources.options import SourceOptions

from .conftest import read_items

FLICKR = "image,caption\na.jpg,A dog .\na.jpg,A brown dog .\nb.jpg,A cat .\n"
CAPTIONS = {"a.jpg": ["A dog .", "A brown dog ."], "b.jpg": ["A cat ."]}


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    """The layout of Kaggle's Flickr8k."""
    root = tmp_path / "flickr8k"
    (root / "Images").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg"):
        (root / "Images" / name).write_bytes(name.encode())
    (root / "captions.txt").write_text(FLICKR)
    return root


@pytest.mark.parametrize("root", ["Images", "Images/", "./Images", "absolute", "file"])
def test_a_table_with_its_images_in_another_folder(flickr: Path, root: str) -> None:
    folder = flickr / "Images"
    written = {"absolute": str(folder), "file": f"file://{folder}"}.get(root, root)
    items = read_items(flickr / "captions.txt", image_root=written)
    assert items.captions == CAPTIONS
    assert items["a.jpg"]["uri"] == str(folder / "a.jpg")


def test_the_root_may_be_relative_to_the_current_folder(
    flickr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(flickr.parent)
    items = read_items("flickr8k/captions.txt", image_root="flickr8k/Images")
    assert items.captions == CAPTIONS


def test_the_root_may_be_next_to_the_folder_of_the_table(flickr: Path) -> None:
    (flickr / "annotations").mkdir()
    (flickr / "captions.txt").rename(flickr / "annotations/captions.csv")
    for root in ("../Images", "..\\Images", "../annotations/../Images"):
        items = read_items(flickr / "annotations/captions.csv", image_root=root)
        assert items.captions == CAPTIONS


def test_paths_stay_in_the_root(flickr: Path) -> None:
    (flickr / "secret.jpg").write_bytes(b"x")
    table = flickr / "set.csv"
    table.write_text("image,caption\n../secret.jpg,x\n")
    items = read_items(table, image_root="Images")
    assert "leads out" in items.rejects["../secret.jpg"]
    assert read_items(table, image_root="Images", allow_outside=True).ids == ["../secret.jpg"]


def test_a_folder_whose_table_names_images_of_a_subfolder(flickr: Path) -> None:
    items = read_items(flickr, image_root="Images")
    assert items.captions == {f"Images/{name}": texts for name, texts in CAPTIONS.items()}
    assert items.rejects == {}
    without = read_items(flickr)
    assert "name that as `image_root`" in without.rejects["a.jpg"]
    assert without.ids == ["Images/a.jpg", "Images/b.jpg"]


def test_a_root_that_is_missing_or_outside_the_folder(flickr: Path) -> None:
    for path in (flickr, flickr / "captions.txt"):
        with pytest.raises(SourceError, match="no such folder"):
            open_source(path, SourceOptions(image_root="Pictures"))
    with pytest.raises(SourceError, match="is not in"):
        open_source(flickr, SourceOptions(image_root=str(flickr.parent)))


def test_text_files_that_are_no_table_are_rejected(tmp_path: Path) -> None:
    for name in ("a.jpg", "captions.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "captions.txt").write_text("of captions.jpg")
    assert read_items(tmp_path).captions == {"a.jpg": [], "captions.jpg": ["of captions.jpg"]}
    (tmp_path / "captions.jpg").unlink()
    assert "no image has the same name" in read_items(tmp_path).rejects["captions.txt"]


@pytest.mark.parametrize("name", ["captions.json", "metadata.json"])
def test_json_with_the_captions_of_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 1, "caption": "one"}, {"image_id": 1, "caption": "two"}],
    }
    for content in (coco, [{"file_name": "a.jpg", "captions": ["one", "two"]}]):
        (tmp_path / name).write_text(json.dumps(content))
        assert read_items(tmp_path).captions == {"a.jpg": ["one", "two"]}


@pytest.mark.parametrize(
    ("cell", "captions"),
    [
        ('["a", "b"]', ["a", "b"]),
        ("['a', 'b']", ["a", "b"]),
        ("""['a "quoted" dog', "it's"]""", ['a "quoted" dog', "it's"]),
        ("[]", []),
        ("['a' 'b']", ["['a' 'b']"]),
        ("[red]", ["[red]"]),
        ("[1, 2]", ["[1, 2]"]),
        ("['a', __import__('os')]", ["['a', __import__('os')]"]),
        ("[" * 5000 + "]", ["[" * 5000 + "]"]),
        ("['a", ["['a"]),
    ],
)
def test_a_cell_with_a_list_is_several_captions(
    tmp_path: Path, cell: str, captions: list[str]
) -> None:
    (tmp_path / "a.png").write_bytes(b"A")
    with (tmp_path / "set.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["image", "captions"], ["a.png", cell]])
    assert read_items(tmp_path / "set.csv").captions == {"a.png": captions}
