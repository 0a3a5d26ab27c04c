"""Options of every source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How to read a dataset.

    Attributes:
        image_column: Column of a table that has the image (default: the first usual name, such as
            `image` or `file_name`).
        caption_columns: Columns of a table that have captions, as text or lists of text (default:
            the first usual name).
        id_column: Column of a table that has the item id (default: the image's path).
        delimiter: One character between the columns of a CSV file (default: a comma, and a tab for
            `.tsv`).
        caption_from_folder: A caption for each image of a folder, "a photo of a {}", filled with
            the name of the folder that the image is in.
        allow_outside: Also read the images of a table that are outside its folder.
    """

    image_column: str | None = None
    caption_columns: tuple[str, ...] = ()
    id_column: str | None = None
    delimiter: str | None = None
    caption_from_folder: str | None = None
    allow_outside: bool = False
