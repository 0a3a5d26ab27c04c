"""Options made from dataclasses: names, types, defaults, choices, help and values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import typer
from commands import LEAVES
from typer.testing import CliRunner

from mm_milvus.choices import ProgressMode
from mm_milvus.cli.options import Flag, Pairs, field_docs, field_type, options_of
from mm_milvus.embeddings.options import EncodeOptions
from mm_milvus.errors import OptionError
from mm_milvus.evaluation.options import EvaluateOptions
from mm_milvus.ingestion.options import IngestOptions
from mm_milvus.pipeline.options import RunOptions
from mm_milvus.search.options import SearchOptions
from mm_milvus.sources.options import SourceOptions
from mm_milvus.training.options import TrainOptions
from mm_milvus.verification.options import VerifyOptions

USES = [
    (IngestOptions, "ingest"),
    (EncodeOptions, "encode"),
    (RunOptions, "classify"),
    (RunOptions, "moderate"),
    (SearchOptions, "query"),
    (EvaluateOptions, "evaluate"),
    (TrainOptions, "train"),
    (VerifyOptions, "verify"),
    (SourceOptions, "ingest"),
    (SourceOptions, "encode"),
    (SourceOptions, "train"),
    (SourceOptions, "verify"),
]
NO_OPTIONS = {"weight_decay", "held_out"}
"""Fields of `TrainOptions` that only the library takes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Base:
    """What both have.

    Attributes:
        limit: Stop after this many (default: all).
    """

    limit: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Base):
    """Options of every kind.

    Attributes:
        mode: How to go; see `names`.
        names: Names to use,
            in this order.
        weights: Weights, such as `{"image": 0.7, "title": 0.3}`.
        fast: Go faster.
        progress: Draw a progress bar.

    Raises:
        OptionError: For `limit` 0.
    """

    mode: Literal["plain", "fancy"] = "plain"
    names: tuple[str, ...] = ("a", "b")
    weights: Mapping[str, float] | None = None
    fast: bool = False
    progress: ProgressMode | bool = "none"


WEIGHTS = Pairs("--weights", "=", "NAME=WEIGHT", "image=0.7", float)


def parse(*arguments: str) -> Options:
    """What a command gets for these arguments."""
    received: list[Options] = []

    @options_of(Options, panel="Run", names=Flag(names=("--name",)), weights=WEIGHTS.flag())
    def command(*, options: Options) -> None:
        received.append(options)

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return received[0]


def test_options_that_are_left_out_keep_the_defaults_of_their_fields():
    assert parse() == Options(progress="auto")


def test_options_become_values_of_their_fields():
    options = parse(
        *("--mode", "fancy", "--name", "x", "--name", "y", "--weights", "image=0.7,title=1"),
        *("--fast", "--no-progress", "--limit", "3"),
    )
    assert options == Options(
        mode="fancy", names=("x", "y"), weights={"image": 0.7, "title": 1}, fast=True, limit=3
    )


@pytest.mark.parametrize("mode", ["auto", "bar", "log", "none"])
def test_progress_is_a_choice(mode):
    assert parse("--progress", mode) == Options(progress=mode)


@pytest.mark.parametrize("text", ["image", "image=", "=1", "image=much", "image=1,,title=2", ""])
def test_pairs_that_cannot_be_read_name_the_option_and_an_example(text):
    with pytest.raises(OptionError, match=r"--weights has .*write NAME=WEIGHT, as in image=0\.7"):
        WEIGHTS.parse(text)


def test_pairs_are_written_as_they_are_read():
    mapping = {"image": 0.7, "title": 0.3}
    assert WEIGHTS.parse(WEIGHTS.write(mapping)) == mapping


def test_an_unknown_choice_is_an_error_that_lists_the_choices():
    with pytest.raises(OptionError, match="unknown mode 'odd': choose plain, fancy"):
        parse("--mode", "odd")


def test_a_flag_for_no_field_is_a_mistake_in_the_program():
    with pytest.raises(TypeError, match="has no field nonsense"):
        options_of(Options, panel="Run", nonsense=Flag())


def test_field_docs_reads_all_entries_of_the_dataclass_and_its_bases():
    assert field_docs(Options) == {
        "limit": "Stop after this many (default: all).",
        "mode": "How to go; see `names`.",
        "names": "Names to use, in this order.",
        "weights": 'Weights, such as `{"image": 0.7, "title": 0.3}`.',
        "fast": "Go faster.",
        "progress": "Draw a progress bar.",
    }
    assert field_type(Options, "limit") == int | None


@pytest.mark.parametrize(("options", "command"), USES)
def test_every_field_is_an_option_of_its_command(options, command):
    params = {param.name: param for param in LEAVES[command].params}
    docs = field_docs(options)
    for field in dataclasses.fields(options):
        if field.name in NO_OPTIONS:
            continue
        param: Any = params[field.name]
        assert docs[field.name], f"{field.name} is not documented"
        assert param.help
        if field.name == "progress":
            assert (param.opts, param.default) == (["--progress"], "auto")
            assert params["no_progress"].hidden
            continue
        if isinstance(field.default, str | int | float | Path):
            assert param.default == field.default
        else:
            assert param.default is None


def test_an_option_means_the_same_in_every_command():
    """Its other name, its environment variable, and whether it takes a value."""
    declared: dict[str, tuple[Any, ...]] = {}
    for command in LEAVES.values():
        for param in command.params:
            if param.param_type_name == "option" and not param.hidden:
                declaration = (param.opts, param.envvar, param.is_flag)
                for option in param.opts:
                    assert declared.setdefault(option, declaration) == declaration


def test_evaluate_still_takes_its_old_short_option(run):
    """It is hidden: elsewhere, -k is --top-k."""
    done = run("evaluate", "-k", 0)
    assert (done.returncode, done.stdout) == (2, "")
    assert "must be 1 or more" in done.stderr
    assert " -k" not in run("evaluate", "--help").stdout
