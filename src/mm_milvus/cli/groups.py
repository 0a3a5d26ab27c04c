"""Options that several commands share, each group as one decorator."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import typer

from mm_milvus.choices import DEFAULT_MODEL, DEFAULT_STORE, ProgressMode
from mm_milvus.cli.options import (
    Flag,
    Function,
    Pairs,
    choose_from,
    option,
    options_of,
    replace_parameter,
)
from mm_milvus.search.options import SearchOptions
from mm_milvus.sources.options import SourceOptions

if TYPE_CHECKING:
    from mm_milvus.store.connection import StoreLike

R = TypeVar("R")

STORE, SOURCE, ENCODER, RUN, OUTPUT = "Store", "Source", "Encoder and index", "Run", "Output"
FILTER = "Filter"

WEIGHTS = Pairs("--document", "=", "NAME=WEIGHT", "image=0.7,title=0.3", float)
FUSION_WEIGHTS = Pairs("--fusion-weights", "=", "NAME=WEIGHT", "image=0.7,title=0.3", float)

WHERE = Flag(
    type=list[str],
    help="A condition on the metadata: KEY OP VALUE with one of = != < <= > >= has 'starts with', "
    "KEY [not] in (A, B), KEY [not] exists; joined by and, or and brackets. Quotes make a value a "
    "text. Of several, all must hold.",
    panel=FILTER,
)
CAPTION_HAS = Flag(panel=FILTER, metavar="TEXT")
RAW_FILTER = Flag(panel=FILTER)

DOCUMENT = WEIGHTS.flag(panel=ENCODER)
BATCH_SIZE = Flag(panel=ENCODER)


OpenStore = Callable[[], "StoreLike"]
"""Opens the store of `--uri`, `--token` and `--db-name`, until the command ends; or returns its
URI, where that is enough. A command that needs no store, such as `evaluate --compare`, opens none.
"""


ConfirmDeletion = Callable[[Callable[[], str]], None]
"""Asks the question that it is given, unless the user gave `--yes`; raises where the answer is no,
or where there is no terminal to ask on."""


ChooseRejects = Callable[[Path], Path | None]
"""Returns the file of `--rejects`, None with `--no-rejects`, or the default that it is given."""


def store_options(command: Function[R]) -> Function[R]:
    """Give a command `--uri`, `--token` and `--db-name`; it gets `store`, an `OpenStore`."""
    return replace_parameter(
        "store",
        [
            # Named as the library names it, for messages: `store`.
            option(
                "store",
                str,
                DEFAULT_STORE,
                "--uri",
                envvar="MM_MILVUS_URI",
                help="A Milvus Lite file (`*.db`), or the address of a server: `http://HOST:PORT`.",
                rich_help_panel=STORE,
            ),
            option(
                "token",
                str | None,
                None,
                envvar="MM_MILVUS_TOKEN",
                help="`USER:PASSWORD` or an API key; safer in the environment than here.",
                rich_help_panel=STORE,
            ),
            option(
                "db_name",
                str | None,
                None,
                help="The database inside the server.",
                rich_help_panel=STORE,
            ),
        ],
        _store_opener,
        command,
    )


def _store_opener(
    stack: ExitStack, *, store: str, token: str | None, db_name: str | None
) -> OpenStore:
    def open_store() -> StoreLike:
        from mm_milvus.store.connection import Store, is_missing_file

        # Opening a local file creates it, and only the verb can say whether it may be missing.
        if is_missing_file(store):
            return store
        return stack.enter_context(Store(store, token=token, db_name=db_name))

    return open_store


SWITCHES = {
    "no_quoting": "--quoting",
    "allow_outside": "--no-allow-outside",
    "shard_ids": "--no-shard-ids",
    "stretch_16bit": "--no-stretch-16bit",
    "lenient": "--no-lenient",
}
"""What switches an option of sources off again that the dataset's last ingest had."""


def source_options(
    *, captions: bool = True, switches: bool = False
) -> Callable[[Function[R]], Function[R]]:
    """Give a command the options of sources; without those of captions where it reads none.

    Args:
        captions: Whether the command reads captions.
        switches: Whether each flag can be switched off as well.
    """
    flags = {
        name: Flag(names=(f"--{name.replace('_', '-')}/{off}",))
        for name, off in SWITCHES.items()
        if switches
    }
    if captions:
        flags["caption_columns"] = Flag(names=("--caption-column",))
    return options_of(
        SourceOptions,
        panel=SOURCE,
        into="source_options",
        leave_out=() if captions else ("caption_columns", "caption_from_folder"),
        **flags,
    )


def condition_options(command: Function[R]) -> Function[R]:
    """Give a command the filters of a search; it gets `conditions`, `SearchOptions` with these."""
    return options_of(
        SearchOptions,
        panel=FILTER,
        into="conditions",
        leave_out=[
            name
            for name in SearchOptions.__dataclass_fields__
            if name not in ("where", "caption_has", "filter")
        ],
        where=WHERE,
        caption_has=CAPTION_HAS,
        filter=RAW_FILTER,
    )(command)


def yes_option(command: Function[R]) -> Function[R]:
    """Give a command `--yes`; it gets `confirm`, a `ConfirmDeletion`."""
    return replace_parameter(
        "confirm",
        [
            option(
                "yes",
                bool,
                False,
                "--yes",
                "-y",
                help="Delete without asking for confirmation.",
            )
        ],
        lambda _stack, *, yes: partial(_confirm, yes=yes),
        command,
    )


def _confirm(question: Callable[[], str], *, yes: bool) -> None:
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise typer.BadParameter("nothing is deleted without a confirmation: add --yes")
    typer.confirm(question(), abort=True)


def _single(name: str, *arguments: Any, **keywords: Any) -> Callable[[Function[R]], Function[R]]:
    """Give a command one option."""
    shared = option(name, *arguments, **keywords)
    return partial(replace_parameter, name, [shared], lambda _stack, **values: values[name])


def rejects_options(command: Function[R]) -> Function[R]:
    """Give a command `--rejects` and `--no-rejects`; it gets `rejects`, a `ChooseRejects`."""
    return replace_parameter(
        "rejects",
        [
            option(
                "rejects",
                Path | None,
                None,
                metavar="FILE",
                help="Where to write rejected items and their reasons (default: "
                "`NAME.rejects.jsonl`).",
                rich_help_panel=RUN,
            ),
            option(
                "no_rejects",
                bool,
                False,
                "--no-rejects",
                help="Write no file of rejects.",
                rich_help_panel=RUN,
            ),
        ],
        _rejects_chooser,
        command,
    )


def _rejects_chooser(_stack: ExitStack, *, rejects: Path | None, no_rejects: bool) -> ChooseRejects:
    if rejects is not None and no_rejects:
        raise typer.BadParameter("--rejects names a file that --no-rejects forbids: give one")
    return lambda default: None if no_rejects else rejects or default


model_option = _single(
    "model",
    str,
    DEFAULT_MODEL,
    envvar="MM_MILVUS_MODEL",
    help="`compact`, a CLIP-like model by hub id (`ID@REVISION`), or its local folder.",
    rich_help_panel=ENCODER,
)
json_option = _single("as_json", bool, False, "--json", help="Print one JSON object.")

Progress = Annotated[
    ProgressMode,
    typer.Option(
        parser=choose_from(get_args(ProgressMode), "progress"),
        help="How to show progress on stderr.",
        rich_help_panel=OUTPUT,
    ),
]

Findings = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write all findings to a `.jsonl`, `.csv` or `.parquet` file.",
        rich_help_panel=RUN,
    ),
]
