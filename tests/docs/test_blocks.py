"""The README, the tutorial and the how-to pages do what they say: their code blocks are run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from markdown_blocks import ROOT, RUN_LANGUAGES, Block, blocks, shell_commands

PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "index.md",
    *sorted((ROOT / "docs" / "start").glob("*.md")),
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]
FIRST_INGEST = re.compile(r"\bingest[ (]\"?(?P<source>[\w./]+)")

LANGUAGES = {"sh", "python", "text", "toml"}

MOST_NOT_RUN = 20
REASONS = {
    "installs packages",
    "needs a server",
    "sets up an environment; .ci/run runs them",
    "this page shows a folder of your own",
    "needs an object store, and shards",
    "needs a second model; how-to/train.md makes one",
    "downloads a model from the hub",
    "fetches packages with npm, and needs a folder of photos",
    "needs the photos of the Clothing dataset",
}


def run_shell(code: str, folder: Path) -> None:
    """Run a block's commands in a folder: mm-milvus in this process, others in bash."""
    from mm_milvus.cli.app import app

    for command in shell_commands(code):
        if command.startswith("mm-milvus "):
            arguments = shlex.split(command, comments=True)[1:]
            assert app(arguments, standalone_mode=False) in (None, 0), command
        else:
            subprocess.run(["bash", "-euc", command], cwd=folder, check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_runs_in_order(page, reader_folder, ingested, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    run = [block for block in blocks(page) if not block.not_run and block.language in RUN_LANGUAGES]
    first = FIRST_INGEST.search(run[0].code) if run else None
    if first and first["source"] == "examples/emoji":
        # The page begins with what a fixture has done once for all pages: here it finds no changes.
        shutil.copytree(ingested, reader_folder / "mm_milvus.db")
    names = {"__name__": "__main__"}
    for block in run:
        if block.language == "sh":
            run_shell(block.code, reader_folder)
        else:
            exec(compile(block.code, str(block), "exec"), names)


def not_run() -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.not_run]


def test_blocks_that_are_not_run_are_few_and_have_a_known_reason():
    marked = not_run()
    assert {block.not_run for block in marked} == REASONS
    assert len(marked) <= MOST_NOT_RUN, "\n".join(f"{block}: {block.not_run}" for block in marked)
    assert all(block.language in RUN_LANGUAGES for block in marked)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_names_its_language(page):
    assert {block.language for block in blocks(page)} <= LANGUAGES
