"""Help pages: every sentence as it was written, on 80 columns, without loading the engines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata

import pytest
from commands import COMMANDS, LEAVES

from mm_milvus.cli.help import plain

WIDTH = 80
HEAVY = (
    "PIL", "attr", "grpc", "matplotlib", "numpy", "pandas", "pyarrow", "pydantic", "pymilvus",
    "rich", "sklearn", "tokenizers", "torch", "tqdm", "transformers",
)  # fmt: skip


@pytest.fixture(scope="module")
def pages(program):
    """What `--help` of every command prints on a terminal of 80 columns."""

    def page(name: str) -> str:
        return subprocess.run(
            [program, *name.split(), "--help"],
            capture_output=True,
            text=True,
            check=True,
            env={"COLUMNS": str(WIDTH), "PYTHONPATH": ":".join(sys.path)},
        ).stdout

    return {name: page(name) for name in COMMANDS}


def words(text: str) -> str:
    """A text without its line breaks and indents."""
    return " ".join(text.split())


def sentences(text: str) -> list[str]:
    """The sentences of a help text, without the marks of code."""
    return [words(part) for part in re.split(r"(?<=[.:]) |\n\n", plain(text)) if part.strip()]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_sentence_of_the_source_is_shown(pages, name):
    command = COMMANDS[name]
    page = words(pages[name])
    for sentence in sentences(command.help):
        assert sentence in page
    for param in command.params:
        if not param.hidden:
            assert param.help, f"{param.name} has no help"
            for sentence in sentences(param.help):
                assert sentence in page


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_shows_names_choices_defaults_and_environment_variables(pages, name):
    page = words(pages[name])
    for param in COMMANDS[name].params:
        if param.hidden or param.param_type_name == "argument":
            continue
        for option in param.opts:
            assert option in page
        if param.type_descriptor.choices:
            assert "|".join(param.type_descriptor.choices) in page
        if isinstance(param.default, str | int | float) and param.default not in (False, ""):
            assert f"[default: {param.default}]" in page
        if param.envvar:
            assert f"[env: {param.envvar}]" in page


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_fits_the_terminal_and_has_no_emoji(pages, name):
    page = pages[name]
    assert "Usage" in page
    assert max(map(len, page.splitlines())) <= WIDTH
    symbols = {character for character in page if unicodedata.category(character) == "So"}
    assert not symbols
    assert "`" not in page


def test_a_page_has_no_markup_to_interpret(pages):
    assert "recency:KEY:DAYS" in words(pages["query"])
    assert "data-{0000..0009}.tar" in words(pages["ingest"])
    assert "[OPTIONS] [TEXT...]" in words(pages["query"])


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_one_block_of_examples_that_name_real_options(name):
    _, _, examples = LEAVES[name].help.partition("Examples:\n\n")
    lines = examples.splitlines()
    assert any(line.startswith(f"    mm-milvus {name}") for line in lines)
    for line in lines:
        assert line.startswith("    mm-milvus ")
        command = next(LEAVES[n] for n in LEAVES if f"    mm-milvus {n} ".rstrip() in line)
        options = {option for param in command.params for option in param.opts}
        assert set(re.findall(r"(?<!\S)--?[a-z][-a-z0-9]*", line)) <= options


def test_help_loads_no_engine_and_nothing_that_is_slow_to_import():
    """By modules and not by time: the time is in benchmarks/startup.py."""
    code = (
        "import json, sys\n"
        "from mm_milvus.cli import main\n"
        "sys.argv = ['mm-milvus', 'query', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit:\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert "Usage" in done.stdout
    loaded = {module.partition(".")[0] for module in json.loads(done.stderr)}
    assert "mm_milvus" in loaded
    assert not loaded & set(HEAVY)


def test_a_group_without_a_command_prints_its_help(run):
    done = run("datasets")
    assert done.returncode == 2
    assert done.stdout.startswith("Usage: mm-milvus datasets")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("mm-milvus ing", ["ingest"]),
        ("mm-milvus query --dedu", ["--dedup"]),
        ("mm-milvus query --dedup ", ["item", "content", "near"]),
        ("mm-milvus evaluate --fusion r", ["rrf"]),
        ("mm-milvus ingest --index F", ["FLAT"]),
        ("mm-milvus datasets ", ["list", "info", "rename", "copy", "drop"]),
        ("mm-milvus items ", ["list", "get", "count", "delete", "export"]),
    ],
)
def test_the_shell_completes_commands_options_and_choices(run, line, completions):
    variables = {
        "_MM_MILVUS_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    assert run(**variables).stdout.split() == completions
