"""The library names parameters in backticks; the program names the options of the command."""

from __future__ import annotations

import pytest
from commands import LEAVES

from mm_milvus.cli.messages import name_options, option_names

RENAMED = {
    "ingest": {"index_type": "--index", "store": "--uri", "caption_columns": "--caption-column"},
    "query": {"top_k": "--top-k", "weights": "--weight", "where": "--where", "store": "--uri"},
    "evaluate": {"cuts": "--k", "fusions": "--fusion", "qrels": "--qrels"},
    "classify": {"templates": "--template", "output": "--output", "source": "PATH"},
    "verify": {"repair": "--repair", "source": "PATH", "sample": "--sample"},
    "train": {"clip": "--clip", "document": "--document", "micro_batch": "--micro-batch"},
    "datasets drop": {"name": "NAME", "store": "--uri"},
}


@pytest.mark.parametrize("command", LEAVES)
def test_a_parameter_in_backticks_becomes_what_the_user_can_write(command):
    params = LEAVES[command].params
    names = option_names(params)
    for param in params:
        written = name_options(f"leave out `{param.name}`, or set `{param.name}=7`", names)
        option = names[param.name]
        assert written == f"leave out {option}, or set {option} 7"
        assert option in param.opts or option == (param.metavar or param.name).upper()
        assert not option.startswith("-") or option.startswith("--") or len(param.opts) == 1


@pytest.mark.parametrize("command", LEAVES)
def test_what_is_no_parameter_of_the_command_loses_its_backticks(command):
    names = option_names(LEAVES[command].params)
    text = "`nonsense`, `NAME=1.5`, `a b`, `` and `--already`"
    assert name_options(text, names) == "nonsense, NAME=1.5, a b,  and --already"
    assert name_options("one ` alone", names) == "one ` alone"


@pytest.mark.parametrize("command", RENAMED)
def test_options_with_another_name_than_their_parameter(command):
    names = option_names(LEAVES[command].params)
    assert {name: names[name] for name in RENAMED[command]} == RENAMED[command]


def test_a_flag_that_is_set_is_named_alone():
    names = option_names(LEAVES["verify"].params)
    assert name_options("set `repair=True` as well", names) == "set --repair as well"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ingest", "pictures", "--limit", "0"], "--limit is 0, and must be at least 1"),
        (["ingest", "pictures", "--prune", "--limit", "2"], "leave out --limit"),
        (["verify", "pictures", "--prune"], "set --repair as well"),
        (["evaluate", "--queries", "queries.jsonl"], "(--qrels)"),
        (["train", "pictures", "--output", "model", "--unfreeze"], "--clip"),
        (["ingest", "pictures", "--embeddings"], "mm-milvus encode"),
    ],
)
def test_errors_of_the_library_name_options(run, tmp_path, arguments, message):
    (tmp_path / "pictures").mkdir()
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "`" not in done.stderr
    assert done.stderr.count("\n") == 1
