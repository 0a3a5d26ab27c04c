"""Names that packages had in version 0.1, which go to the modules that define them today."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def old_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package (PEP 562) for names that it had in version 0.1.

    Args:
        package: The package's `__name__`.
        homes: For each name, the module that defines it.

    Returns:
        A function from a name to its object, which warns with a DeprecationWarning.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        warnings.warn(
            f"{package}.{name} will be removed in 0.3: import it from {homes[name]}",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(import_module(homes[name]), name)

    return get
