"""Images in the cells of a table as `data:` URIs and base64."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from mm_milvus.errors import SourceError
from mm_milvus.files import read_image

from .conftest import read_items


def encoded(name: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(stream, name)
    return stream.getvalue()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize(
    "form",
    ["data:image/x;base64,{}", "DATA:;base64,{}", "data:image/x,%", "{}", "{}\n", "url", "no ="],
)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_inline_images_are_read(tmp_path: Path, name: str, form: str, suffix: str) -> None:
    data = encoded(name)
    cell = form.replace("{}", base64_of(data)).replace("%", quote(data))
    cell = base64.urlsafe_b64encode(data).decode() if form == "url" else cell
    cell = base64_of(data).rstrip("=") if form == "no =" else cell
    text = {
        "csv": f'image,caption\n"{cell}",x\n',
        "jsonl": json.dumps({"image": cell, "caption": "x"}),
    }
    (tmp_path / f"t.{suffix}").write_text(text[suffix])
    (row,) = read_items(tmp_path / f"t.{suffix}").rows
    assert (row["item_id"], row["image"], row["captions"]) == ("row-1", data, ["x"])
    if cell.lower().startswith("data:"):
        assert read_image(cell) == data


@pytest.mark.parametrize(
    "cell",
    [
        "data:image/png;base64,###" + "A" * 9000,
        "data:" + "A" * 9000,
        base64_of(encoded("PNG"))[:60] + "!" * 9000,
        "z" * 9000,
    ],
)
def test_a_damaged_cell_is_one_reject_with_a_short_reason(tmp_path: Path, cell: str) -> None:
    (tmp_path / "t.csv").write_text(f"image,caption\n{cell},x\n")
    (row,) = read_items(tmp_path / "t.csv").rows
    assert row["item_id"] == "row-1"
    assert len(row["rejected"]) < 200
    if cell.startswith("data:"):
        with pytest.raises(SourceError) as error:
            read_image(cell)
        assert len(str(error.value)) < 200
