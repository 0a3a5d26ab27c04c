"""Write docs/how-to/formats.md: each format as a listing, a command, and what the command prints.

python -m scripts.make_formats_page           # make the files, run the commands, write the page
python -m scripts.make_formats_page --check   # fail if it is not up to date

The files are made in a temporary folder, and the commands are run in it.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import io
import json
import os
import re
import shlex
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from typer.testing import CliRunner

from mm_milvus.cli.app import app

TARGET = Path(__file__).parents[1] / "docs" / "how-to" / "formats.md"

HEADER = """\
# Formats of datasets

<!-- Written by python -m scripts.make_formats_page; a test fails if it is out of date. -->

Each section shows the files, the command, and what it prints (without times). [Ingest](ingest.md)
explains the options; [images](../reference/images.md) lists the formats of images.
"""

COLOURS = {"dress": "red", "shoe": "blue", "cat": "grey", "dog": "brown"}


@dataclass(frozen=True, slots=True)
class Format:
    """A section of the page.

    Attributes:
        title: Its heading.
        make: Makes the files in the current folder.
        command: What is run.
        note: A sentence below the result; may be empty.
    """

    title: str
    make: Callable[[], None]
    command: str
    note: str = ""


def image(name: str, form: str = "JPEG") -> bytes:
    """Return an image file."""
    buffer = io.BytesIO()
    stem = Path(name).stem
    Image.new("RGB", (64, 64), COLOURS.get(stem, "green")).save(buffer, form)
    return buffer.getvalue()


def write(path: str, content: str | bytes | None = None) -> None:
    """Write a file: an image, unless there is another content."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    data = image(path) if content is None else content
    file.write_bytes(data.encode() if isinstance(data, str) else data)


def write_tar(path: str, members: dict[str, bytes], mode: str = "w") -> None:
    """Write a tar shard."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_parquet(path: str, rows: list[dict[str, object]]) -> None:
    """Write a Parquet file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def folder_with_captions() -> None:
    """Images with captions in files next to them."""
    write("photos/cat.jpg")
    write("photos/cat.txt", "a grey cat\na cat on a sofa\n")
    write("photos/trip/dog.jpg")
    write("photos/trip/dog.json", '{"caption": "a brown dog", "year": 2024}')


def class_folders() -> None:
    """A folder per class."""
    write("classes/dress/1.jpg")
    write("classes/shoe/1.jpg")


def takeout() -> None:
    """Google Takeout."""
    write("Takeout/cat.jpg")
    write(
        "Takeout/cat.jpg.supplemental-metadata.json", '{"title": "cat.jpg", "description": "a cat"}'
    )
    write("Takeout/dog.jpg")
    write("Takeout/dog.jpg.txt", "a dog")


def imagefolder() -> None:
    """Hugging Face's imagefolder, with splits."""
    write("pets/train/cat.jpg")
    write("pets/train/metadata.csv", "file_name,text\ncat.jpg,a grey cat\n")
    write("pets/test/dog.jpg")
    write("pets/test/metadata.jsonl", '{"file_name": "dog.jpg", "text": "a brown dog"}\n')


def shop_csv() -> None:
    """A catalogue."""
    write("img/dress.jpg")
    write(
        "products.csv",
        "sku;image;title;price\nD1;img/dress.jpg;red dress;49.5\nS1;;blue shoe;80\n",
    )


def quoted_tsv() -> None:
    """Quotes that are part of the texts."""
    write("dress.jpg")
    write("items.tsv", 'image\tcaption\ndress.jpg\t"Vintage" 5" heel\n')


def compressed() -> None:
    """Compressed text, in another encoding."""
    write("dress.jpg")
    write(
        "items.csv.gz",
        gzip.compress("image,caption\ndress.jpg,robe d'été\n".encode("cp1252"), mtime=0),
    )


def several_captions() -> None:
    """Columns, lists and rows of captions."""
    write("cat.jpg")
    write(
        "rows.csv",
        "image,caption_0,caption_1\ncat.jpg,a cat,\"['grey cat', 'animal']\"\ncat.jpg,a pet,\n",
    )


def spelled_paths() -> None:
    """Paths that were written on Windows."""
    write("img/Dress.JPG")
    write("items.csv", "image,caption\nIMG\\dress.jpg,a red dress\n")


def json_array() -> None:
    """A JSON array."""
    write("cat.jpg")
    content = [{"image": "cat.jpg", "captions": ["a cat", "a pet"], "tags": ["animal"]}]
    write("items.json", json.dumps(content, indent=2))


def coco() -> None:
    """COCO captions."""
    write("val2017/cat.jpg")
    content = {
        "images": [{"id": 1, "file_name": "cat.jpg", "width": 64}],
        "annotations": [
            {"image_id": 1, "caption": "a grey cat"},
            {"image_id": 1, "caption": "a cat on a sofa"},
        ],
    }
    write("annotations/captions_val2017.json", json.dumps(content))


def karpathy() -> None:
    """Karpathy's splits of COCO."""
    write("val2014/cat.jpg")
    sentences = [{"raw": "a grey cat"}, {"raw": "a pet"}]
    row = {"filepath": "val2014", "filename": "cat.jpg", "sentences": sentences, "split": "test"}
    write("dataset_coco.json", json.dumps({"images": [row], "dataset": "coco"}))


def flickr8k() -> None:
    """Kaggle's Flickr8k."""
    write("flickr8k/Images/cat.jpg")
    write("flickr8k/captions.txt", "image,caption\ncat.jpg,A cat .\ncat.jpg,A grey cat .\n")


def inline_images() -> None:
    """Images in the cells of a table."""
    text = base64.b64encode(image("cat")).decode()
    rows = [
        {"id": 1, "image": f"data:image/jpeg;base64,{text}", "caption": "a cat"},
        {"id": 2, "image": text, "caption": "the same cat"},
    ]
    write("inline.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def saved_dataset() -> None:
    """What Dataset.save_to_disk writes."""
    for split, name in (("train", "cat"), ("test", "dog")):
        folder = Path("saved") / split
        folder.mkdir(parents=True)
        rows = [{"image": {"bytes": image(name), "path": f"{name}.jpg"}, "text": f"a {name}"}]
        table = pa.Table.from_pylist(rows)
        with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as stream:
            stream.write_table(table)
        (folder / "dataset_info.json").write_text("{}")
        (folder / "state.json").write_text(
            '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}'
        )
    Path("saved/dataset_dict.json").write_text('{"splits": ["train", "test"]}')


def parquet_folder() -> None:
    """A dataset of the Hugging Face hub."""
    for split, name in (("train", "cat"), ("test", "dog")):
        row = {"image": {"bytes": image(name), "path": f"{name}.jpg"}, "text": f"a {name}"}
        write_parquet(f"hub/data/{split}-00000-of-00001.parquet", [row])


def spark_folder() -> None:
    """Parts of a table, with what Spark and people put next to them."""
    row = {"image": image("cat"), "caption": "a cat"}
    write_parquet("pets/part-00000.parquet", [row])
    write_parquet("pets/part-00001.parquet", [{"image": image("dog"), "year": 2024}])
    write("pets/_SUCCESS", "")
    write("pets/classes.csv", "number,name\n0,cat\n1,dog\n")


def split_shards() -> None:
    """A folder of tar shards per split."""
    for split, name in (("train", "cat"), ("test", "dog")):
        members = {"0.jpg": image(name), "0.txt": f"a {name}".encode()}
        write_tar(f"pets/{split}/00000.tar", members)


def webdataset() -> None:
    """Tar shards whose keys have dots and repeat."""
    for shard in ("00000", "00001"):
        write_tar(
            f"shards/{shard}.tar",
            {
                "22.05.jpg": image("cat"),
                "22.05.txt": b"a cat",
                "22.06.jpg": image("dog"),
                "22.06.txt": b"a dog",
                "22.06.cls": b"7",
            },
        )


def compressed_shard() -> None:
    """A compressed tar shard."""
    members = {"cat.jpg": image("cat"), "cat.caption": b"a cat"}
    write_tar("cats.tar.gz", members, "w:gz")


def img2dataset_shards() -> None:
    """The format webdataset of img2dataset."""
    info = b'{"caption": "a cat", "url": "http://pets.example/cat.jpg", "key": "000000000"}'
    members = {"000000000.jpg": image("cat"), "000000000.txt": b"a cat", "000000000.json": info}
    write_tar("laion/00000.tar", members)
    write_parquet("laion/00000.parquet", [{"key": "000000000", "status": "success"}])
    write("laion/00000_stats.json", '{"count": 1}')


def img2dataset_files() -> None:
    """The format files of img2dataset."""
    write("laion/00000/000000000.jpg", image("cat"))
    write("laion/00000/000000000.txt", "a cat")
    write("laion/00000/000000000.json", '{"caption": "a cat", "key": "000000000"}')
    write_parquet("laion/00000.parquet", [{"key": "000000000", "status": "success"}])
    write("laion/00000_stats.json", '{"count": 1}')


def img2dataset_parquet() -> None:
    """The format parquet of img2dataset."""
    row = {"url": "http://pets.example/cat.jpg", "key": "0", "caption": "a cat"}
    write_parquet(
        "laion/00000.parquet",
        [
            {**row, "status": "success", "error_message": None, "jpg": image("cat")},
            {
                **row,
                "key": "1",
                "status": "failed_to_download",
                "error_message": "HTTP Error 404",
                "jpg": None,
            },
        ],
    )
    write("laion/00000_stats.json", '{"count": 2}')


def zip_file() -> None:
    """A zip archive with a table at its top."""
    with zipfile.ZipFile("pets.zip", "w") as archive:
        archive.writestr("cat.jpg", image("cat"))
        archive.writestr("metadata.jsonl", '{"file_name": "cat.jpg", "text": "a cat"}\n')


FORMATS = (
    Format(
        "Captions next to the images",
        folder_with_captions,
        "ingest photos",
        "The folder is metadata: `--where folder=trip` finds the dog.",
    ),
    Format(
        "A folder per class",
        class_folders,
        'ingest classes --caption-from-folder "a photo of a {}"',
    ),
    Format("Google Takeout, and NAME.jpg.txt", takeout, "ingest Takeout"),
    Format("Hugging Face imagefolder with splits", imagefolder, "ingest pets"),
    Format(
        "A catalogue, with items that have no picture yet",
        shop_csv,
        "ingest products.csv --delimiter ';' --id-column sku",
    ),
    Format("Quotes that are part of the texts", quoted_tsv, "ingest items.tsv --no-quoting"),
    Format(
        "Compressed text in another encoding", compressed, "ingest items.csv.gz --encoding cp1252"
    ),
    Format(
        "Several captions",
        several_captions,
        "ingest rows.csv",
        "Columns, lists in cells and further rows of an image are all captions of one item.",
    ),
    Format("Paths that were written on another system", spelled_paths, "ingest items.csv"),
    Format("A JSON array", json_array, "ingest items.json"),
    Format("COCO captions", coco, "ingest annotations/captions_val2017.json --image-root val2017"),
    Format("Karpathy's splits of COCO and Flickr", karpathy, "ingest dataset_coco.json"),
    Format("Kaggle's Flickr8k", flickr8k, "ingest flickr8k/captions.txt --image-root Images"),
    Format("Images in the cells of a table", inline_images, "ingest inline.jsonl"),
    Format("What Hugging Face's save_to_disk writes", saved_dataset, "ingest saved"),
    Format("Parquet of the Hugging Face hub", parquet_folder, "ingest hub"),
    Format(
        "Parts of a table, as Spark writes them",
        spark_folder,
        "ingest pets",
        "A part without a column has no such key. Names that begin with `_` or `.` are not read.",
    ),
    Format(
        "WebDataset",
        webdataset,
        "ingest 'shards/{00000..00001}.tar' --shard-ids",
        "`--shard-ids` begins the ids with the name of the shard, as both have the same keys.",
    ),
    Format(
        "Tar shards in a folder per split",
        split_shards,
        "ingest pets",
        "The ids are `train/0` and `test/0`, and `--where split=train` finds the cat.",
    ),
    Format("A compressed tar shard", compressed_shard, "ingest cats.tar.gz"),
    Format("img2dataset, output_format webdataset", img2dataset_shards, "ingest laion"),
    Format("img2dataset, output_format files", img2dataset_files, "ingest laion"),
    Format("img2dataset, output_format parquet", img2dataset_parquet, "ingest laion"),
    Format("A zip archive", zip_file, "ingest zip://::pets.zip --dataset pets"),
)


def page() -> str:
    """Return the whole page, in Markdown."""
    return "\n".join([HEADER, *map(section, FORMATS)])


def section(form: Format) -> str:
    """Make the files of a format, run its command, and return its section."""
    start = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            form.make()
            tree = listing(Path())
            result = CliRunner().invoke(app, [*shlex.split(form.command), "--uri", "store.db"])
        finally:
            os.chdir(start)
    if result.exit_code not in (0, 3):
        raise SystemExit(f"{form.title}: {result.output}")
    shown = [
        line for line in map(_without_times, (result.stderr + result.stdout).splitlines()) if line
    ]
    note = f"\n{form.note}\n" if form.note else ""
    return (
        f"## {form.title}\n\n```text\n{tree}\n```\n\n"
        f"```text\n$ mm-milvus {form.command}\n" + "\n".join(shown) + f"\n```\n{note}"
    )


def _without_times(line: str) -> str:
    """Return a line of output without what differs from run to run; "" for one to leave out."""
    if line.startswith(("model ", "compact is ", "rejects and their")):
        return ""
    return re.sub(r" in [0-9.]+ s \([0-9.,]+/s\)", "", line)


def listing(folder: Path) -> str:
    """Return the files of a folder, and the first line of each that is text."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    width = max(len(path.as_posix()) for path in files)
    return "\n".join(f"{path.as_posix():<{width}}  {_summary(path)}".rstrip() for path in files)


def _summary(path: Path) -> str:
    if path.name.endswith((".tar", ".tar.gz")):
        with tarfile.open(path) as tar:
            return "  ".join(tar.getnames())
    if path.suffix == ".parquet":
        return ", ".join(pq.read_schema(path).names)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return "  ".join(archive.namelist())
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        return ""
    text = " | ".join(line.strip() for line in lines)
    return text if len(text) <= 80 else f"{text[:80]}..."


def main() -> None:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    written = page()
    if not parser.parse_args().check:
        TARGET.write_text(written, encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != written:
        sys.exit(f"{TARGET} is out of date: run python -m scripts.make_formats_page")


if __name__ == "__main__":
    main()
