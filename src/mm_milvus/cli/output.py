"""Output of commands that is safe to print, whatever ids, captions and paths contain."""

from __future__ import annotations

import json
from typing import Any

from mm_milvus.text import visible_json


def print_json(value: Any) -> None:
    """Print a value as one line of JSON, which has no character that a terminal acts upon."""
    print(visible_json(json.dumps(value, ensure_ascii=False)))
