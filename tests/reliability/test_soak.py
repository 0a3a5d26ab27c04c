"""A client under load while its dataset changes in every way and its server restarts.

    pytest tests/reliability/test_soak.py -m slow --engine server -s

Another process ingests, rebuilds, drops and remakes the dataset all the time. Every answer is
checked: its items, their captions and their scores. Some items are in every state of the dataset:
they must be found at every moment, but for those when the dataset or the server is away.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from killing import PROCESSES
from PIL import Image
from proxy import Proxy, proxied

from mm_milvus import (
    AsyncSearchClient,
    IngestOptions,
    SearchClient,
    SearchOptions,
    Store,
    StoreError,
    ingest,
)
from mm_milvus.store.dataset import drop_dataset
from plain_encoder import PlainEncoder
from server import Server

THREADS, COROUTINES, RESTARTS = 8, 200, 2
LASTING, CHANGING = 40, 300
OPTIONS = SearchOptions(fusion="max", fusion_weights={"image": 0, "text": 1})
RECONNECT_S = 20.0
"""What a client may take to find a server that has come back."""
RETRY_S = 1.0
"""How long a caller waits after an error."""


def name_of(number: int) -> str:
    return f"{number:04}.png"


def caption_of(number: int, generation: int = 0) -> str:
    """No two numbers have the same letters, which are all that PlainEncoder sees."""
    return f"{name_of(number)} {'x' * (number % 29)}{'y' * (number % 31)} {generation * 'q'}"


class Writer:
    """Changes the dataset in a process of its own, until it is asked to stop."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self.uri = folder, uri
        # Odd while the lasting items may be missing; another number after each such time.
        self.away = PROCESSES.Value("i", 0)
        self.finished = PROCESSES.Event()
        self.runs = PROCESSES.Array("i", 4)

    def fill(self, generation: int) -> None:
        """Write the folder: all lasting items, and about half of the others with new captions."""
        self.folder.mkdir(exist_ok=True)
        chosen = random.Random(generation)
        with (self.folder / "metadata.jsonl").open("w") as table:
            for number in range(LASTING + CHANGING):
                lasts = number < LASTING
                if lasts or chosen.random() < 0.5:
                    name = name_of(number)
                    Image.new("RGB", (8, 8), (number % 256, number // 256, 9)).save(
                        self.folder / name
                    )
                    caption = caption_of(number, 0 if lasts else generation % 9)
                    row = {"file_name": name, "captions": [caption], "item": name}
                    table.write(json.dumps(row) + "\n")

    def ingest(self, **options: Any) -> None:
        ingest(
            self.folder,
            store=self.uri,
            dataset="soak",
            model=PlainEncoder(),
            options=IngestOptions(prune=True, batch_size=32, **options),
        )

    def run(self) -> None:
        os.chdir(self.folder.parent)
        for generation in itertools.count(1):
            if self.finished.is_set():
                return
            self.fill(generation)
            kind = generation % 4
            with suppress(StoreError):  # the server is away: the next run does all of it
                if kind == 2:
                    self.ingest(rebuild=True)
                elif kind == 3:
                    with self.gone():
                        with Store(self.uri) as store:
                            drop_dataset("soak", store)
                        self.ingest()
                else:
                    self.ingest()
                self.runs[kind] += 1

    @contextmanager
    def gone(self) -> Iterator[None]:
        """A time when the lasting items may be missing."""
        self.away.value += 1
        yield
        # A search may know the dataset as it was a moment ago.
        time.sleep(0.5)
        self.away.value += 1


class Searches:
    """Counts searches, and checks their answers."""

    def __init__(self, count: int, writer: Writer) -> None:
        self.count = count
        self._numbers = itertools.count()
        self.writer = writer
        self.done: Counter[str] = Counter()
        self.memory: list[float] = []
        self.server_away = threading.Event()
        self._encoder = PlainEncoder()
        self._checking = threading.Lock()

    def queries(self) -> Iterator[int]:
        """Yield lasting items to search for, until enough searches are answered."""
        while self.done["searches"] < self.count:
            number = next(self._numbers)
            if number % 100 == 0:
                pages = int(Path("/proc/self/statm").read_text().split()[1])
                self.memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
            yield number % LASTING

    def moment(self) -> int | None:
        """Return a number that stays the same while the lasting items must be found."""
        before = self.writer.away.value
        return None if before % 2 or self.server_away.is_set() else before

    def check(self, number: int, hits: list[Any], must_be_found: bool) -> None:
        with self._checking:
            self.done["searches"] += 1
        assert len({hit.item_id for hit in hits}) == len(hits)
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        vectors = self._encoder.encode_texts([caption_of(number), *(hit.caption for hit in hits)])
        for hit, vector in zip(hits, vectors[1:], strict=True):
            assert hit.caption.startswith(hit.item_id)
            assert hit.metadata["item"] == hit.item_id
            assert hit.text.score == pytest.approx(float(vector @ vectors[0]), abs=1e-3)
        if must_be_found:
            assert hits[0].item_id == name_of(number)
            assert len(hits) == OPTIONS.top_k
            with self._checking:
                self.done["complete answers"] += 1

    def failed(self, error: StoreError, *, is_expected: bool) -> None:
        if not is_expected:
            raise error
        with self._checking:
            self.done["errors while the dataset or the server was away"] += 1

    def with_threads(self, client: SearchClient) -> None:
        for number in self.queries():
            before = self.moment()
            try:
                hits = client.search(caption_of(number), options=OPTIONS)
            except StoreError as error:
                self.failed(error, is_expected=before is None or self.moment() != before)
                time.sleep(RETRY_S)
            else:
                self.check(number, hits, before is not None and self.moment() == before)

    async def with_coroutines(self, client: AsyncSearchClient) -> None:
        async def search() -> None:
            for number in self.queries():
                before = self.moment()
                try:
                    hits = await client.search(caption_of(number), options=OPTIONS)
                except StoreError as error:
                    self.failed(error, is_expected=before is None or self.moment() != before)
                    await asyncio.sleep(RETRY_S)
                else:
                    self.check(number, hits, before is not None and self.moment() == before)

        async with asyncio.TaskGroup() as group:
            for _ in range(COROUTINES):
                group.create_task(search())


def restart(server: Server, proxy: Proxy, searches: Searches) -> None:
    searches.server_away.set()
    server.stop()
    proxy.reset()
    server.start()
    proxy.lead_to(server.uri)
    time.sleep(RECONNECT_S)
    searches.server_away.clear()


def soak(folder: Path, count: int, restarts: int) -> dict[str, Any]:
    server = Server(folder / "server")
    server.folder.mkdir()
    server.start()
    try:
        with proxied(server.uri) as proxy:
            writer = Writer(folder / "pictures", proxy.uri)
            writer.fill(0)
            writer.ingest()
            searches = Searches(count, writer)
            process = PROCESSES.Process(target=writer.run)
            process.start()
            try:
                seconds = search_all(searches, server, proxy, restarts)
                writer.finished.set()
                process.join()
            finally:
                process.kill()
            third = len(searches.memory) // 3
            return {
                **searches.done,
                "seconds": round(seconds),
                "ingests": writer.runs[0] + writer.runs[1],
                "rebuilds": writer.runs[2],
                "drops": writer.runs[3],
                "MB, first third": round(statistics.median(searches.memory[:third])),
                "MB, last third": round(statistics.median(searches.memory[-third:])),
            }
    finally:
        server.stop()


def search_all(searches: Searches, server: Server, proxy: Proxy, restarts: int) -> float:
    """Make all searches, with restarts in between; return the seconds that they took."""
    started = time.monotonic()
    with Store(proxy.uri) as store, ThreadPoolExecutor(THREADS + 1) as pool:
        client = SearchClient(store, "soak", encoder=PlainEncoder())
        asynchronous = AsyncSearchClient(store, "soak", encoder=PlainEncoder())
        running = [pool.submit(searches.with_threads, client) for _ in range(THREADS)]
        running.append(pool.submit(asyncio.run, searches.with_coroutines(asynchronous)))
        for number in range(1, restarts + 1):
            while searches.done["searches"] < number * searches.count / (restarts + 1):
                time.sleep(0.1)
                for each in running:
                    if each.done():
                        each.result()
            restart(server, proxy, searches)
        for each in running:
            each.result()
        client.close()
    return time.monotonic() - started


@pytest.mark.engines("server")
@pytest.mark.parametrize(
    ("count", "restarts"),
    [pytest.param(600, 0, id="short"), pytest.param(20_000, RESTARTS, marks=pytest.mark.slow)],
)
def test_every_answer_is_right_while_everything_changes(tmp_path, engine, count, restarts):
    del engine
    figures = soak(tmp_path, count, restarts)
    print(figures)
    assert figures["searches"] >= count
    assert figures["complete answers"] > count / 4
    assert figures["MB, last third"] < 1.1 * figures["MB, first third"] + 20
