"""The application: its commands, and the line and exit code that an error becomes."""

from __future__ import annotations

import logging
import sys
import warnings
from functools import cache
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from mm_milvus import __version__
from mm_milvus.cli import datasets, items
from mm_milvus.cli.classify import classify
from mm_milvus.cli.demo import demo
from mm_milvus.cli.encode import encode
from mm_milvus.cli.evaluate import evaluate
from mm_milvus.cli.export import export
from mm_milvus.cli.help import MAX_WIDTH, Command, Group
from mm_milvus.cli.hide_token import hide_token
from mm_milvus.cli.ingest import ingest
from mm_milvus.cli.inspect import inspect
from mm_milvus.cli.moderate import moderate
from mm_milvus.cli.query import query
from mm_milvus.cli.runs import EXIT_INTERRUPTED
from mm_milvus.cli.train import train
from mm_milvus.cli.tune import tune
from mm_milvus.cli.verify import verify
from mm_milvus.errors import CutTextWarning, MmMilvusError, SourceError, UsageError
from mm_milvus.progress import write_stderr
from mm_milvus.text import one_line, visible

EXIT_FAILURE = 1
EXIT_USAGE = 2
USAGE_ERRORS = (UsageError, SourceError)
"""Errors in what the user named or asked for; all others are failures on the way."""

DEBUG = "--debug"

app = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": MAX_WIDTH},
)
for command in (
    ingest,
    query,
    tune,
    inspect,
    encode,
    classify,
    moderate,
    train,
    evaluate,
    export,
    verify,
    demo,
):
    app.command(cls=Command)(command)
app.add_typer(datasets.app, name="datasets", cls=Group)
app.add_typer(items.app, name="items", cls=Group)


def _print_version(value: bool) -> None:
    if value:
        print(f"mm-milvus {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    _debug: Annotated[
        bool,
        typer.Option(DEBUG, help="Show tracebacks and the engines' logs; can be given anywhere."),
    ] = False,
) -> None:
    """Search images and captions by text and by image, on Milvus.

    Examples:

        mm-milvus demo
        mm-milvus ingest ./photos
        mm-milvus query "red dress"
    """


def main() -> NoReturn:
    """Run the command line; an error is one line on stderr and an exit code.

    The codes: 0 done, 1 failed, 2 wrong usage, 3 done but items were rejected, 130 interrupted.
    """
    hide_token()
    arguments = sys.argv[1:] or ["--help"]
    debug = DEBUG in arguments
    if not debug:
        # The engines log a traceback for what is reported here in one line.
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", CutTextWarning)
        warnings.showwarning = lambda message, *_, **__: _print_warning(one_line(message))
    try:
        code = app([argument for argument in arguments if argument != DEBUG], standalone_mode=False)
    except TyperException as error:
        _fail(one_line(error.format_message()), EXIT_USAGE)
    except MmMilvusError as error:
        if debug:
            raise
        _fail(one_line(error), EXIT_USAGE if isinstance(error, USAGE_ERRORS) else EXIT_FAILURE)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        if sys.stderr is not None:
            sys.stderr.close()
        sys.exit(EXIT_FAILURE)
    except Exception as error:
        if debug:
            raise
        _fail(f"{type(error).__name__}: {one_line(error)} ({DEBUG} shows where)", EXIT_FAILURE)
    sys.exit(code or 0)


@cache
def _print_warning(message: str) -> None:
    """Print a warning the first time; what Python shows once it shows again at other filters."""
    write_stderr(f"mm-milvus: {visible(message)}")


def _fail(message: str, code: int) -> NoReturn:
    write_stderr(f"mm-milvus: {visible(message)}")
    sys.exit(code)
