"""Time until a help page is printed, as a multiple of `import typer` in the same run.

    python -m benchmarks.startup [--rounds 10] [--json]

Each command is a new process, and all of them alternate, so that other programs slow them alike.
The figures are the medians of the rounds. The limits: `mm-milvus --help` under 0.4 s, and
`mm-milvus query --help` at most three times `import typer`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial
from statistics import median

from benchmarks.figures import seconds, show

IMPORT = "import typer"
HELP = "import sys; sys.argv = ['mm-milvus', *{}]; from mm_milvus.cli import main; main()"
COMMANDS = {
    "import_typer": IMPORT,
    "help": HELP.format(["--help"]),
    "query_help": HELP.format(["query", "--help"]),
}


def measure(rounds: int) -> dict[str, float]:
    """Measure seconds of each command, and the ratios to `import typer`."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, code in COMMANDS.items():
            run = partial(
                subprocess.run, [sys.executable, "-c", code], check=True, capture_output=True
            )
            times[name].append(seconds(run))
    medians = {name: median(values) for name, values in times.items()}
    return {
        **{f"{name}_s": round(value, 3) for name, value in medians.items()},
        "help_ratio": round(medians["help"] / medians["import_typer"], 2),
        "query_help_ratio": round(medians["query_help"] / medians["import_typer"], 2),
    }


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    show(measure(arguments.rounds), as_json=arguments.json)


if __name__ == "__main__":
    main()
