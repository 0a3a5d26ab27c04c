"""The arrows of the architecture: which package may import which, and no circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "mm_milvus"

VOCABULARY = frozenset(
    {
        *("arrays", "choices", "concurrent", "data_uri", "errors", "files"),
        *("keys", "old_names", "progress", "remote", "schema", "text"),
    }
)
"""Small modules that import nothing but each other; every package may import them."""

ALLOWED: dict[str, set[str]] = {
    "atomic": set(),
    "bundled": set(),
    "cli": {
        "bundled",
        "embeddings",
        "evaluation",
        "exporting",
        "images",
        "ingestion",
        "inspection",
        "items",
        "pipeline",
        "render",
        "search",
        "sources",
        "store",
        "training",
        "verification",
        "zeroshot",
    },
    "embeddings": {"atomic", "encoders", "limits", "pipeline", "rejects", "sources"},
    "encoders": {"extras", "images"},
    "evaluation": {"atomic", "extras", "search", "store"},
    "exporting": {"atomic", "bundled", "encoders", "extras", "images"},
    "extras": set(),
    "filters": {"limits"},
    "images": set(),
    "ingestion": {"embeddings", "encoders", "limits", "pipeline", "rejects", "sources", "store"},
    "inspection": {"store"},
    "items": {"atomic", "embeddings", "encoders", "filters", "limits", "store"},
    "limits": set(),
    "pipeline": {"encoders", "images", "limits", "rejects"},
    "rejects": set(),
    "render": {"atomic", "evaluation", "extras", "images", "inspection", "search"},
    "rerankers": {"encoders"},
    "search": {"encoders", "filters", "images", "items", "rerankers", "store"},
    "sources": {"images"},
    "store": {"limits"},
    "training": {
        "atomic",
        "encoders",
        "extras",
        "images",
        "pipeline",
        "rejects",
        "render",
        "sources",
    },
    "verification": {
        "embeddings",
        "encoders",
        "images",
        "ingestion",
        "limits",
        "pipeline",
        "sources",
        "store",
    },
    "zeroshot": {"atomic", "encoders", "pipeline", "rejects", "sources", "store"},
}
"""What each package may import in addition to the vocabulary; the arrows make no circle."""

ALLOWED_IN_ENCODERS: dict[str, set[str]] = {
    "base": set(),
    "spelling": set(),
    "snapshot": set(),
    "embed": {"base"},
    "torch": {"base", "spelling"},
    "transformers": {"base", "snapshot", "torch"},
    "trained": {"base", "snapshot", "torch", "transformers"},
    "compact": {"base", "spelling", "torch"},
    "exported": {"base", "snapshot", "spelling"},
    "load": {"base", "compact", "exported", "snapshot", "trained", "transformers"},
}
"""What the parts of `encoders` may import of each other; the arrows make no circle."""

TORCH = frozenset({"safetensors", "tokenizers", "torch", "transformers"})
RUNTIMES = frozenset({"onnx", "onnxruntime", "onnxscript", "openvino"})
MILVUS = frozenset({"faiss", "grpc", "milvus_lite", "pymilvus"})
COMMAND_LINE = frozenset({"rich", "typer"})

ONLY_IN: dict[str, frozenset[str]] = {
    **dict.fromkeys(TORCH, frozenset({"encoders", "exporting", "rerankers", "training"})),
    **dict.fromkeys(RUNTIMES, frozenset({"encoders", "exporting"})),
    **dict.fromkeys(MILVUS, frozenset({"store"})),
    **dict.fromkeys(COMMAND_LINE, frozenset({"cli"})),
    "torchvision": frozenset(),
}
"""Third-party packages, and the packages that may import them."""

Sources = Mapping[str, str]
"""The text of each module, by its name below mm_milvus: `store.dataset`."""


def read_sources() -> dict[str, str]:
    sources = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:  # the top __init__ is a table of everything
            sources[name] = path.read_text()
    return sources


def imported(text: str) -> Iterator[str]:
    """Yield what a module imports, also inside functions, but not for types alone.

    `from a import b` yields `a.b`, which is a module or a name of one.
    """
    tree = ast.parse(text)
    types_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in types_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package_of(module: str) -> str:
    return module.partition(".")[0]


def own_imports(sources: Sources) -> dict[str, set[str]]:
    """Return for each module those modules of mm_milvus that it imports."""
    return {
        module: {
            target
            for name in imported(text)
            if name.startswith("mm_milvus.")
            if (target := module_of(name.removeprefix("mm_milvus."), sources)) not in ("", module)
        }
        for module, text in sources.items()
    }


def module_of(name: str, sources: Sources) -> str:
    """Return the module that a dotted name is, or is in."""
    return name if name in sources else name.rpartition(".")[0]


def package_arrows(sources: Sources) -> dict[str, set[str]]:
    """Return for each package, or module at the top, the others that it imports."""
    arrows: dict[str, set[str]] = {package_of(module): set() for module in sources}
    for module, targets in own_imports(sources).items():
        arrows[package_of(module)] |= {package_of(target) for target in targets}
    return {package: targets - {package} for package, targets in arrows.items()}


def forbidden_arrows(sources: Sources) -> list[str]:
    return [
        f"{package} imports {target}"
        for package, targets in package_arrows(sources).items()
        for target in sorted(targets - ALLOWED.get(package, set()) - VOCABULARY)
    ]


def foreign_imports(sources: Sources) -> list[str]:
    return sorted(
        {
            f"{module} imports {package_of(name)}"
            for module, text in sources.items()
            for name in imported(text)
            if package_of(module) not in ONLY_IN.get(package_of(name), {package_of(module)})
        }
    )


def circle(arrows: Mapping[str, set[str]]) -> list[str]:
    """Return a circle in a graph; empty where there is none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def within(package: str, sources: Sources) -> dict[str, str]:
    """Return the modules of a package, by their names in it."""
    return {
        module.removeprefix(f"{package}."): text.replace(f"mm_milvus.{package}.", "mm_milvus.")
        for module, text in sources.items()
        if module.startswith(f"{package}.")
    }


def forbidden_in_encoders(sources: Sources) -> list[str]:
    parts = within("encoders", sources)
    names = {package_of(module) for module in parts}
    return [
        f"{part} imports {target}"
        for part, targets in package_arrows(parts).items()
        for target in sorted((targets & names) - ALLOWED_IN_ENCODERS.get(part, set()))
    ]


SOURCES = read_sources()


def test_every_package_has_a_rule():
    assert set(package_arrows(SOURCES)) == {*ALLOWED, *VOCABULARY}


def test_packages_import_only_what_they_may():
    assert forbidden_arrows(SOURCES) == []


def test_every_allowed_arrow_exists():
    arrows = package_arrows(SOURCES)
    unused = {package: targets - arrows[package] for package, targets in ALLOWED.items()}
    assert {package: targets for package, targets in unused.items() if targets} == {}


def test_the_allowed_arrows_make_no_circle():
    assert circle({**ALLOWED, **{module: set() for module in VOCABULARY}}) == []


def test_encoders_import_only_what_is_below_them():
    arrows = package_arrows(within("encoders", SOURCES))
    used = {part: targets & arrows.keys() for part, targets in arrows.items()}
    assert used == ALLOWED_IN_ENCODERS
    assert circle(ALLOWED_IN_ENCODERS) == []


@pytest.mark.parametrize(
    ("module", "target"),
    [("torch.encoder", "transformers.clip"), ("exported.encoder", "torch.cpu"), ("base", "load")],
)
def test_an_import_of_a_part_above_is_found(module, target):
    name = f"encoders.{module}"
    planted = {**SOURCES, name: SOURCES[name] + f"\nimport mm_milvus.encoders.{target}\n"}
    expected = f"{package_of(module)} imports {package_of(target)}"
    assert forbidden_in_encoders(SOURCES) == []
    assert forbidden_in_encoders(planted) == [expected]


def test_modules_make_no_circle():
    assert circle(own_imports(SOURCES)) == []


def test_third_party_packages_are_imported_where_they_belong():
    assert foreign_imports(SOURCES) == []


@pytest.mark.parametrize("package", sorted(set(package_arrows(SOURCES)) - {"cli"}))
def test_an_import_of_the_command_line_is_found(package):
    module = next(name for name in SOURCES if package_of(name) == package)
    planted = {**SOURCES, module: SOURCES[module] + "\nfrom mm_milvus.cli.app import main\n"}
    assert f"{package} imports cli" in forbidden_arrows(planted)
    inside = "\ndef late():\n    import mm_milvus.cli.app\n"
    planted = {**SOURCES, module: SOURCES[module] + inside}
    assert f"{package} imports cli" in forbidden_arrows(planted)


@pytest.mark.parametrize(("package", "allowed"), sorted(ONLY_IN.items()))
def test_a_third_party_import_in_a_wrong_place_is_found(package, allowed):
    for module in ("sources.open", "store.rows", "encoders.base", "cli.app"):
        planted = {**SOURCES, module: SOURCES[module] + f"\nimport {package}\n"}
        is_found = f"{module} imports {package}" in foreign_imports(planted)
        assert is_found == (package_of(module) not in allowed)


def test_a_circle_is_found():
    text = SOURCES["keys"] + "\nfrom mm_milvus.sources.open import open_source\n"
    assert circle(own_imports({**SOURCES, "keys": text}))
