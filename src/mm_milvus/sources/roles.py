"""Which column of a table is what, by the options or by usual names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mm_milvus.errors import SourceError
from mm_milvus.files import Place
from mm_milvus.sources.options import SourceOptions

IMAGE_COLUMNS = (
    "image",
    "img",
    "image_bytes",
    *("jpg", "jpeg", "png", "webp"),
    "image_path",
    "file_name",
    "filename",
    "path",
    "filepath",
    "file_path",
    "image_name",
    "url",
    "image_url",
    "uri",
)
"""Usual names of the column of images, in the order in which they are looked for: content is
preferred to paths, and these to URLs. img2dataset names the column of content by its format."""

CAPTION_COLUMNS = (
    "caption",
    "captions",
    "text",
    "texts",
    "title",
    "description",
    "comment",
    "sentence",
    "sentences",
)
"""Usual names of the column of captions, in the order in which they are looked for."""


ID_COLUMNS = ("item_id", "id")
"""Usual names of the column of ids, in the order in which they are looked for."""


@dataclass(frozen=True, slots=True)
class ColumnRoles:
    """Which column is what; all other columns are metadata.

    Attributes:
        image: The column of images: paths, URIs, or bytes.
        captions: The columns of captions.
        item_id: The column of ids; None: an item's id is the path of its image.
    """

    image: str
    captions: tuple[str, ...]
    item_id: str | None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are not metadata."""
        return frozenset({self.image, *self.captions, *([self.item_id] if self.item_id else [])})


def find_roles(
    place: Place, columns: tuple[str, ...], options: SourceOptions, *, ids_are_paths: bool = False
) -> ColumnRoles:
    """Find the roles of a table's columns, by the options, else by the usual names.

    Args:
        place: The table, for messages.
        columns: Its columns.
        options: The names of columns that a user has chosen.
        ids_are_paths: Whether no column has ids, unless a user has chosen one.

    Raises:
        SourceError: When the table has no column of a chosen name, or none for images.
    """
    for name in filter(None, (options.image_column, options.id_column)):
        if name not in columns:
            raise _missing_column(place, name, columns)
    image = options.image_column or _first(IMAGE_COLUMNS, columns)
    item_id = options.id_column or None
    if options.id_column is None and not ids_are_paths:
        item_id = _first(ID_COLUMNS, tuple(name for name in columns if name != image))
    captions = tuple(name for name in columns if name not in (image, item_id))
    if options.caption_columns:
        chosen = (_matching(place, name, columns, captions) for name in options.caption_columns)
        captions = tuple(dict.fromkeys(name for names in chosen for name in names))
    else:
        captions = _usual_captions(captions)
    if image is None:
        raise SourceError(
            f"{place.uri} has no column with a usual name for images: name one of its columns "
            f"as `image_column`; they are {', '.join(columns)}"
        )
    return ColumnRoles(image, captions, item_id if item_id not in captions else None)


def has_images(columns: tuple[str, ...], options: SourceOptions) -> bool:
    """Return whether a table has the chosen column of images, or one of a usual name."""
    return (options.image_column or _first(IMAGE_COLUMNS, columns)) in columns


def has_captions(columns: tuple[str, ...], options: SourceOptions) -> bool:
    """Return whether a table has a chosen column of captions, or one of a usual name."""
    if options.caption_columns:
        return any(_matches(name, columns, columns) for name in options.caption_columns)
    return bool(_usual_captions(columns))


def roles_of_parts(
    dataset: Place, parts: Mapping[Place, tuple[str, ...]], options: SourceOptions
) -> ColumnRoles:
    """Find the roles of the columns that several tables have together.

    Args:
        dataset: What has the tables, for messages.
        parts: The columns of each table, all of which have a column of images.
        options: The names of columns that a user has chosen.

    Raises:
        SourceError: As `find_roles`, or when a column has one role in one of the tables, and
            another one, or none, in all of them together. A table without a column of captions has
            none, and one without a column of metadata has no such key.
    """
    columns = tuple(dict.fromkeys(name for names in parts.values() for name in names))
    roles = find_roles(dataset, columns, options)
    for place, names in parts.items():
        # Chosen captions may be in some of the tables, and may be in a column of a usual id.
        chosen = options.caption_columns
        own = find_roles(place, names, replace(options, caption_columns=()))
        if own.item_id in roles.captions:
            own = replace(own, item_id=roles.item_id)
        for kind, here, there, parameter in (
            ("images", (own.image,), (roles.image,), "image_column"),
            ("ids", (own.item_id,), (roles.item_id,), "id_column"),
            ("captions", own.captions, roles.captions, "caption_columns"),
        ):
            if not set(here) <= set(there) and not (kind == "captions" and chosen):
                raise SourceError(
                    f"{place.uri} has its {kind} in {_listed(here)}, and other tables of "
                    f"{dataset.name} in {_listed(there)}: choose for all with `{parameter}`, or "
                    "give one of the tables"
                )
    return roles


def _listed(names: tuple[str | None, ...]) -> str:
    return ", ".join(filter(None, names)) or "no column"


def _missing_column(place: Place, name: str, columns: tuple[str, ...]) -> SourceError:
    near = difflib.get_close_matches(name, columns, n=1)
    hint = f" (is it {near[0]!r}?)" if near else ""
    return SourceError(
        f"{place.uri} has no column {name!r}{hint}: its columns are {', '.join(columns)}"
    )


def _matching(
    place: Place, pattern: str, columns: tuple[str, ...], free: tuple[str, ...]
) -> list[str]:
    """Return the column of a name, or those that match a pattern and have no other role."""
    if not (names := _matches(pattern, columns, free)):
        raise _missing_column(place, pattern, columns)
    return sorted(names, key=by_numbers)


def _matches(pattern: str, columns: tuple[str, ...], free: tuple[str, ...]) -> list[str]:
    if pattern in columns:
        return [pattern]
    expression = ".*".join(map(re.escape, pattern.split("*")))
    return [name for name in free if re.fullmatch(expression, name, re.DOTALL)]


def by_numbers(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts `caption_2` before `caption_10`."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _usual_captions(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of the first usual name: the one of that name, and the numbered ones."""
    for usual in CAPTION_COLUMNS:
        exact = _first((usual,), columns)
        expression = re.compile(rf"{usual}[_ .-]?[0-9]{{1,4}}", re.IGNORECASE)
        numbered = sorted(filter(expression.fullmatch, columns), key=by_numbers)
        if exact or numbered:
            return (*([exact] if exact else []), *numbered)
    return ()


def _first(names: tuple[str, ...], columns: tuple[str, ...]) -> str | None:
    by_name = {column.lower(): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)
