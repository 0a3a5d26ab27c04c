"""A dataset that changes, and the check that a store holds exactly this dataset."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

from PIL import Image

from mm_milvus import IngestOptions, IngestReport, VerifyOptions, ingest, verify
from mm_milvus.keys import caption_key, content_hash, image_key
from mm_milvus.store.connection import Store
from mm_milvus.store.dataset import open_dataset
from mm_milvus.store.read import stored_rows
from plain_encoder import PlainEncoder

WORDS = ["red", "green", "blue", "dress", "shoe", "hat", "cat", "dog", "bird", "tree"]


class ChangingDataset:
    """Tiny pictures with zero to three captions each, in a folder; `change` changes them."""

    def __init__(self, folder: Path, seed: int, max_items: int = 200) -> None:
        self.folder = folder / "pictures"
        self.random = random.Random(seed)
        self.max_items = max_items

    def change(self) -> None:
        """Write the folder again: other items, some unchanged, some with other captions."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        rows = []
        for number in self.random.sample(
            range(self.max_items), self.random.randint(20, self.max_items)
        ):
            name = f"{number:04}.png"
            colour = (number, 40 * self.random.randrange(3), 99)
            Image.new("RGB", (8, 8), colour).save(self.folder / name)
            captions = self.random.sample(WORDS, self.random.choice((0, 1, 1, 2, 3)))
            row = {"file_name": name, "captions": captions, "price": self.random.randrange(3)}
            rows.append(json.dumps(row))
        (self.folder / "metadata.jsonl").write_text("\n".join(rows))

    def ingest(self, uri: str, dataset: str) -> IngestReport:
        """Ingest and prune: afterwards the store is the same as the folder."""
        options = IngestOptions(prune=True, batch_size=8)
        return ingest(
            self.folder, store=uri, dataset=dataset, model=PlainEncoder(), options=options
        )

    def rows(self) -> dict[str, tuple[str, str, str | None]]:
        """Return what must be stored: item, content hash and caption by primary key."""
        rows = {}
        for line in (self.folder / "metadata.jsonl").read_text().splitlines():
            row = json.loads(line)
            name = row["file_name"]
            digest = content_hash((self.folder / name).read_bytes())
            rows[image_key(name)] = (name, digest, None)
            for number, caption in enumerate(row["captions"]):
                rows[caption_key(name, number)] = (name, content_hash(caption), caption)
        return rows

    def check(self, uri: str, dataset: str) -> None:
        """Assert that exactly these rows are stored, each once and with its own vector."""
        expected = self.rows()
        with Store(uri) as store:
            stored = {}
            for collection in open_dataset(store, dataset).collections:
                keys = [key for batch in collection.scan() for key, _ in batch]
                assert len(keys) == len({*keys}) == collection.count()
                stored |= {
                    row.id: (row.item_id, row.content_hash, row.caption)
                    for row in stored_rows(collection, keys)
                }
        differing = {
            key: (expected.get(key), stored.get(key))
            for key in expected.keys() | stored.keys()
            if expected.get(key) != stored.get(key)
        }
        assert differing == {}
        options = VerifyOptions(sample=len(expected))
        report = verify(
            self.folder, store=uri, dataset=dataset, encoder=PlainEncoder(), options=options
        )
        assert report.healthy, report.examples
        assert report.sampled == len(expected)
