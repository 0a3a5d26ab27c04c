"""Check the subject of a commit: `subsystem: what it does`, in plain English.

python -m scripts.check_subject .git/COMMIT_EDITMSG   # as a commit-msg hook (make hooks)
git log --format=%s main..HEAD | python -m scripts.check_subject -   # several subjects
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LONGEST = 100
SUBJECT = re.compile(r"(?:fixup! |squash! )?[a-z][a-z0-9_./, -]*: \S|Merge |Revert ")


def faults(subjects: Sequence[str]) -> list[str]:
    """One line per fault of the subjects; codespell reports spelling and wording."""
    lines = []
    for subject in subjects:
        if not SUBJECT.match(subject):
            lines.append(f"{subject!r}: begin with the subsystem, as in 'search: count by item'")
        if len(subject) > LONGEST:
            lines.append(f"{subject!r}: has {len(subject)} characters; {LONGEST} are enough")
    spelling = subprocess.run(
        [sys.executable, "-m", "codespell_lib", "-"],
        input="\n".join(subjects),
        capture_output=True,
        text=True,
        check=False,
    )
    return lines + [line for line in spelling.stdout.splitlines() if "==>" in line]


def main() -> None:
    """Read the subjects; exit with 1 and the faults if there are any."""
    if sys.argv[1] == "-":
        subjects = sys.stdin.read().splitlines()
    else:
        lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
        subjects = [line for line in lines if not line.startswith("#")][:1]
    if lines := faults(subjects):
        sys.exit("\n".join(lines))


if __name__ == "__main__":
    main()
