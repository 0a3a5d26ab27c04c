"""The reference is complete: commands, options, public names; and no link leads nowhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import typer
from markdown_blocks import ROOT, blocks
from scripts import make_cli_reference

import mm_milvus
from mm_milvus.cli.app import app

DOCS = ROOT / "docs"
HOW_TO = sorted((DOCS / "how-to").glob("*.md")) + sorted((DOCS / "start").glob("*.md"))
INSTALLED_ELSEWHERE = {"demo"}
"""Commands that the Makefile and the README run, and no page explains further."""

COMMANDS = {
    name.removeprefix("mm-milvus "): command
    for name, command in make_cli_reference.commands(typer.main.get_command(app))
    if not getattr(command, "commands", None)
}

LINK = re.compile(r"\]\((?!https?://|#|<)(?P<path>[^)#\s]+)")
OBJECT = re.compile(r"^::: mm_milvus\.(\w+)$", re.MULTILINE)
INCLUDE = re.compile(r'--8<-- "(?P<path>[^"]+)"')


def test_the_command_line_reference_is_up_to_date():
    page = make_cli_reference.TARGET.read_text(encoding="utf-8")
    assert page == make_cli_reference.reference(), "run python -m scripts.make_cli_reference"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example_and_every_option_a_description(name):
    command = COMMANDS[name]
    summary = make_cli_reference.paragraphs(command.help)[0]
    assert summary.endswith(".")
    assert f"    mm-milvus {name}" in command.help
    shown = [param for param in command.params if not param.hidden]
    assert [param.name for param in shown if not param.help] == []


@pytest.mark.parametrize("name", COMMANDS.keys() - INSTALLED_ELSEWHERE)
def test_every_command_is_on_a_page_that_shows_how_to_use_it(name):
    shown = [block for page in HOW_TO for block in blocks(page) if block.language == "sh"]
    assert any(re.search(rf"^mm-milvus {name}\b", block.code, re.MULTILINE) for block in shown)


def test_every_public_name_is_documented_once():
    pages = (DOCS / "reference" / "api").glob("*.md")
    documented = [name for page in pages for name in OBJECT.findall(page.read_text("utf-8"))]
    assert set(mm_milvus.__all__) - set(documented) == set()
    assert sorted(documented) == sorted(mm_milvus.__all__)


def markdown_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listing.stdout.splitlines()]


@pytest.mark.parametrize("page", markdown_files(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_relative_link_leads_nowhere(page):
    text = page.read_text(encoding="utf-8")
    missing = [path for path in LINK.findall(text) if not (page.parent / path).exists()]
    assert missing == []


def test_pages_that_are_part_of_the_site_and_of_the_repository_have_no_relative_links():
    included = {
        ROOT / path
        for page in DOCS.rglob("*.md")
        for path in INCLUDE.findall(page.read_text("utf-8"))
    }
    assert included
    assert {page: LINK.findall(page.read_text("utf-8")) for page in included} == {
        page: [] for page in included
    }


def test_continuous_integration_runs_what_the_readme_and_the_contributing_guide_name():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", DOCS / "start" / "install.md"]
    code = "\n".join(block.code for page in pages for block in blocks(page))
    named = set(re.findall(r"^make (\w+)", code, re.MULTILINE))
    run = set(re.findall(r"^make (\w+)", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE))
    assert {"demo", "docs", "lint", "test"} <= named
    assert named - {"hooks"} <= run


def test_the_architecture_page_lists_every_package_and_module():
    page = (DOCS / "reference" / "architecture.md").read_text("utf-8")
    package = ROOT / "src" / "mm_milvus"
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    listed = set(re.findall(r"`(\w+)/?`", page.partition("\n## The data model")[0]))
    assert (modules | packages) - listed == set()
