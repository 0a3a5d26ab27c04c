"""Rows of JSON files, decoded as a stream: objects in sequence, an array, COCO, or columns."""

from __future__ import annotations

import json
import math
import posixpath
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, TextIO

from mm_milvus.errors import SourceError
from mm_milvus.files import MAX_FILE_BYTES, Place
from mm_milvus.sources.records import HEAD_ROWS, Row, Table, open_text
from mm_milvus.text import is_utf8, one_line

_CHUNK = 2**20
"""Characters that are read at a time."""

_MARGIN = 16
"""An error this close to the end of what was read may vanish when more is read."""

_NO_SPACE = re.compile(r"[^ \t\r\n\ufeff]")
_TOKEN = re.compile(r'\n[ \t\r]*|"(?:[^"\\\n]++|\\[^\n])*+"?|[{}\[\],]')

_CUT = "the file ends within it"
_LOST = "; the rest of the file is lost"


def _finite(text: str) -> float | str:
    """Return a number of JSON; one beyond the range of a float (`1e400`) as its text."""
    value = float(text)
    return value if math.isfinite(value) else text


_DECODER = json.JSONDecoder(parse_float=_finite)

Element = tuple[int, Any, str | None]
"""The line where a value begins, the value, and why it cannot be used."""


class JsonReader:
    """The values of a JSON text, one after another, in memory that is bounded by the largest one.

    After a value that is broken, reading continues at the next line that begins as that value's
    line does, or after the bracket that closes it.
    """

    def __init__(self, stream: TextIO, chunk: int = _CHUNK) -> None:
        """Begin at the start of a stream, which is read in pieces of `chunk` characters."""
        self._stream, self._chunk = stream, chunk
        self._buffer, self._position, self._ended = "", 0, False
        self._line, self._counted, self._is_lost = 1, 0, False
        # Characters of the line before the position; None after a value in the same line.
        self._indent: int | None = 0

    def peek(self) -> str:
        """Go to the next character that is not white space, and return it; "" at the end."""
        while True:
            end = self._end_of_space(self._position)
            space, self._position = self._buffer[self._position : end], end
            if "\n" in space:
                self._indent = len(space) - space.rindex("\n") - 1
            elif self._indent is not None:
                self._indent += len(space)
            if self._position < len(self._buffer):
                return self._buffer[self._position]
            if not self._more():
                return ""

    def take(self) -> None:
        """Go behind the character that `peek` returned."""
        self._position += 1
        if self._indent is not None:
            self._indent += 1

    def opens_array(self) -> bool:
        """Return whether the bracket here is followed by an object, or closed."""
        while True:
            end = self._end_of_space(self._position + 1)
            if end < len(self._buffer) or not self._more():
                return self._buffer[end : end + 1] in ("{", "]")

    def value(self) -> Any:
        """Return the value here, and go behind it. Raises ValueError, at the same position."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._position)
            except RecursionError as error:
                raise ValueError("it is nested too deeply") from error
            except json.JSONDecodeError as error:
                self._check_cut(error)
                continue
            # A number may be longer than what was read of it.
            if end == len(self._buffer) and isinstance(value, int | float) and self._more():
                continue
            if not is_utf8(self._buffer[self._position : end]):
                raise ValueError("its bytes are not valid text; another `encoding` may be right")
            self._position, self._indent = end, None
            return value

    def element(self, *, in_array: bool) -> Element:
        """Return the value here; where it is broken, the reason, and go to what follows it."""
        line = self.line()
        try:
            value = self.value()
        except ValueError as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else one_line(error)
            self._is_lost = not self._skip(in_array=in_array)
            lost = _LOST if self._is_lost else ""
            return line, None, f"is not valid JSON: {reason}{lost}"
        if isinstance(value, dict):
            return line, value, None
        follower = self.peek()
        if follower not in ("", ",", "]" if in_array else "{") and self._indent is None:
            self._skip(in_array=in_array)
        return line, None, "is not a JSON object"

    def elements(self) -> Iterator[Element]:
        """Yield the objects of the array here, and go behind it."""
        self.take()
        while (char := self.peek()) not in ("]", ""):
            if char == ",":
                self.take()
            else:
                yield self.element(in_array=True)
        if char == "" and not self._is_lost:
            yield self.line(), None, f"is not valid JSON: the file ends within an array{_LOST}"
        elif char:
            self.take()

    def members(self) -> Iterator[str]:
        """Yield the keys of the object here; the caller reads each value. Raises ValueError."""
        self.take()
        while (char := self.peek()) != "}":
            if char == ",":
                self.take()
                continue
            key = self.value()
            if not isinstance(key, str) or self.peek() != ":":
                raise ValueError("it is no object of JSON")
            self.take()
            self.peek()
            yield key
        self.take()

    def values(self) -> Iterator[tuple[str, Any]]:
        """Yield the values of the array or object here, with their keys. Raises ValueError."""
        if self.peek() == "{":
            for key in self.members():
                yield key, self.value()
            return
        self.take()
        number = 0
        while (char := self.peek()) != "]":
            if char == ",":
                self.take()
                continue
            yield str(number), self.value()
            number += 1
        self.take()

    def line(self) -> int:
        """Return the number of the line of the position, counted from 1."""
        self._line += self._buffer.count("\n", self._counted, self._position)
        self._counted = self._position
        return self._line

    def _end_of_space(self, position: int) -> int:
        match = _NO_SPACE.search(self._buffer, position)
        return len(self._buffer) if match is None else match.start()

    def _more(self) -> bool:
        """Read on, and forget what is before the position; return whether there was more."""
        self.line()
        rest = self._buffer[self._position :]
        # Twice as much as before: a long value is decoded again after each time.
        text = "" if self._ended else self._stream.read(max(self._chunk, len(rest)))
        self._ended = not text
        self._buffer, self._position, self._counted = rest + text, 0, 0
        return bool(text)

    def _check_cut(self, error: json.JSONDecodeError) -> None:
        """Read on where a value may be incomplete; else raise ValueError."""
        open_text = error.msg.startswith("Unterminated")
        if not open_text and error.pos < len(self._buffer) - _MARGIN:
            raise error
        if len(self._buffer) - self._position > MAX_FILE_BYTES:
            raise ValueError(f"it is larger than {MAX_FILE_BYTES // 2**20} MiB")
        at_end = open_text or error.pos >= len(self._buffer.rstrip())
        if not self._more():
            raise ValueError(_CUT) if at_end else error

    def _skip(self, *, in_array: bool) -> bool:
        """Go to what follows the broken value here; return False where the file ends before."""
        indent, depth, begun = self._indent, 0, False
        self._indent = None
        while True:
            match = _TOKEN.search(self._buffer, self._position)
            if match is None:
                self._position = len(self._buffer)
                if self._more():
                    continue
                return not in_array and indent is not None
            if match.end() == len(self._buffer) and match.end() - match.start() < MAX_FILE_BYTES:
                self._position = match.start()
                if self._more():
                    continue
                match = _TOKEN.search(self._buffer) or match
            symbol = match[0]
            self._position = match.end()
            match symbol[0]:
                case "\n":
                    width = len(symbol) - 1
                    if self._begins(width, indent, in_array=in_array):
                        self._indent = width
                        return True
                    if not (in_array or begun):
                        self._indent = width
                        return True
                case "{" | "[":
                    depth, begun = depth + 1, True
                case "}" | "]":
                    depth -= 1
                    if depth < 0 and in_array and symbol == "]":
                        self._position = match.start()
                        return True
                    depth = max(depth, 0)
                    if depth == 0 and self._follows(in_array=in_array):
                        return True
                case "," if in_array and depth == 0:
                    self._position = match.start()
                    return True

    def _begins(self, width: int, indent: int | None, *, in_array: bool) -> bool:
        """Return whether the next value begins here, or the array ends."""
        after = self._buffer[self._position : self._position + 1]
        return (
            indent is not None
            and width <= indent
            and after in (("{", "]") if in_array else ("{", "["))
        )

    def _follows(self, *, in_array: bool) -> bool:
        """Return whether what is here can follow a value."""
        follower = self.peek()
        if follower in ("", ",", "{"):
            return True
        # Without an array, the next line begins another value.
        return follower == "]" if in_array else self._indent is not None


def open_json(place: Place, encoding: str | None = None, *, lines: bool = False) -> Table:
    """Open a JSON file.

    It has objects one after another, or arrays of objects; or is one object: COCO's captions
    (`images` and `annotations`, one row per image), columns (`{"image": [...]}`, with lists or, as
    pandas writes them, objects; or `columns` and `data`), or an object with an array of objects,
    such as Karpathy's splits (`images`, whose `sentences` are objects with a text `raw`).

    Args:
        place: The file.
        encoding: Of the text, where it is neither UTF-8 nor UTF-16.
        lines: Whether the objects at the top are rows in any case, as in JSONL.

    Raises:
        SourceError: For columns of different lengths.
    """

    def rows() -> Iterator[Row]:
        with open_text(place, "\n", encoding) as stream:
            yield from to_rows(JsonReader(stream), place.name)

    if lines:
        return _table(rows)
    with open_text(place, "\n", encoding) as stream:
        kinds = _kinds(JsonReader(stream))
    open_reader = partial(open_text, place, "\n", encoding)
    objects = [key for key, kind in kinds.items() if kind == "objects"]
    if {"images", "annotations"} <= set(objects):
        coco = _Coco(place.name, open_reader)
        return _table(coco.rows, chain(coco.images(), [Row(0, {"caption": None})]))
    if kinds.keys() <= {"columns", "index", "data"} and (
        kinds.get("columns") == kinds.get("data") == "values"
    ):
        return _open_split(place, open_reader)
    if kinds and (set(kinds.values()) <= {"values"} or set(kinds.values()) <= {"object"}):
        with open_reader() as stream:
            columns = _columns(JsonReader(stream), place)
        return _table(partial(_column_rows, columns))
    key = objects[0] if len(objects) == 1 else None
    key = next((name for name in ("data", "images") if name in objects), key)
    if key is not None and not ("scalar" in kinds.values() and _IMAGE.intersection(kinds)):
        array_rows = partial(_array_rows, place.name, open_reader, key)
        return _table(lambda: map(_karpathy, array_rows()) if key == "images" else array_rows())
    return _table(rows)


_IMAGE = frozenset({"image", "image_path", "file_name", "filename", "path", "url", "image_url"})
"""A single object with one of these is a row, whatever else it holds."""


def _table(rows: Callable[[], Iterator[Row]], head: Iterator[Row] | None = None) -> Table:
    columns: dict[str, None] = {}
    for row in islice(rows() if head is None else head, HEAD_ROWS):
        columns.update(dict.fromkeys(row.values or {}))
    return Table(tuple(columns), None, lambda _: rows())


def to_rows(reader: JsonReader, name: str) -> Iterator[Row]:
    """Yield the objects of a JSON text, one after another or in arrays.

    Args:
        reader: At the start of the text.
        name: The file, for the reasons of rows that cannot be used.
    """
    number = 0
    while char := reader.peek():
        if char == ",":
            reader.take()
            continue
        is_array = char == "[" and (not number or reader.opens_array())
        found = reader.elements() if is_array else iter([reader.element(in_array=False)])
        for element in found:
            number += 1
            yield _row(number, element, name)


def _row(number: int, element: Element, name: str) -> Row:
    line, value, fault = element
    return Row(number, value, None if fault is None else f"{name}:{line} {fault}")


def _kinds(reader: JsonReader) -> dict[str, str]:
    """Return what the keys of the only object of a text hold; {} for any other text.

    Returns:
        By key "objects" for an array of objects or an empty one, "values" for any other array,
        "object" or "scalar".
    """
    kinds: dict[str, str] = {}
    if reader.peek() != "{":
        return {}
    try:
        for key in reader.members():
            kinds[key] = _kind(reader)
            if kinds.get("images") == kinds.get("annotations") == "objects":
                return kinds
            if kinds[key] == "objects":
                for _ in reader.elements():
                    pass
            elif kinds[key] == "scalar":
                reader.value()
            else:
                for _ in reader.values():
                    pass
    except ValueError:
        return {}
    return {} if reader.peek() else kinds


def _kind(reader: JsonReader) -> str:
    char = reader.peek()
    if char == "[":
        return "objects" if reader.opens_array() else "values"
    return "object" if char == "{" else "scalar"


def _elements_of(reader: JsonReader, key: str) -> Iterator[Element]:
    """Yield the elements of an array in the object at the top."""
    if _go_to(reader, key):
        yield from reader.elements()


def _go_to(reader: JsonReader, key: str) -> bool:
    """Go to the value of a key in the object at the top; return whether it has that key."""
    reader.peek()
    for name in reader.members():
        if name == key:
            return True
        kind = _kind(reader)
        if kind == "scalar":
            reader.value()
            continue
        for _ in reader.elements() if kind == "objects" else reader.values():
            pass
    return False


def _array_rows(name: str, open_reader: Callable[[], Any], key: str) -> Iterator[Row]:
    with open_reader() as stream:
        elements = _elements_of(JsonReader(stream), key)
        for number, element in enumerate(elements, 1):
            yield _row(number, element, name)


def _karpathy(row: Row) -> Row:
    """Return a row of Karpathy's splits with its captions as texts, and the path of its image."""
    values = row.values or {}
    sentences = values.get("sentences")
    if isinstance(sentences, list):
        values["sentences"] = [
            sentence["raw"] if isinstance(sentence, dict) and "raw" in sentence else sentence
            for sentence in sentences
        ]
        folder, name = values.get("filepath"), values.get("filename")
        if isinstance(folder, str) and isinstance(name, str):
            values["filename"] = posixpath.join(values.pop("filepath"), name)
    return row


def _open_split(place: Place, open_reader: Callable[[], Any]) -> Table:
    """Open what pandas writes with `orient="split"`: `columns`, and in `data` an array per row."""
    with open_reader() as stream:
        reader = JsonReader(stream)
        _go_to(reader, "columns")
        names = tuple(str(name) for _, name in reader.values())
    return Table(names, None, lambda _: _split_rows(place.name, open_reader, names))


def _split_rows(
    name: str, open_reader: Callable[[], Any], columns: tuple[str, ...]
) -> Iterator[Row]:
    """Yield the rows of `data`, each of which is an array with a value per column."""
    with open_reader() as stream:
        reader = JsonReader(stream)
        _go_to(reader, "data")
        for index, cells in reader.values():
            number = int(index) + 1
            if isinstance(cells, list) and len(cells) == len(columns):
                yield Row(number, dict(zip(columns, cells, strict=True)))
            else:
                fault = f"row {number} of {name} has not one value per column"
                yield Row(number, fault=fault)


class _Coco:
    """The rows of a COCO captions file: its images, with their captions in order.

    The captions are held in memory while the rows are read.
    """

    def __init__(self, name: str, open_reader: Callable[[], Any]) -> None:
        self._name, self._open = name, open_reader

    def images(self) -> Iterator[Row]:
        """Yield the images, without captions."""
        return _array_rows(self._name, self._open, "images")

    def rows(self) -> Iterator[Row]:
        """Yield the images with their captions, then a reject for each unusable annotation."""
        captions: dict[str, list[Any]] = {}
        faulty = False
        for _, annotation, fault in self._annotations():
            if fault is not None or "image_id" not in annotation:
                faulty = True
            elif annotation.get("caption") is not None:
                captions.setdefault(str(annotation["image_id"]), []).append(annotation["caption"])
            else:
                # Boxes and masks of other COCO files name images, and have no captions.
                captions.setdefault(str(annotation["image_id"]), [])
        unknown = set(captions)
        number = 0
        for row in self.images():
            number = row.number
            if row.values is not None:
                image_id = str(row.values.get("id"))
                unknown.discard(image_id)
                own = row.values.get("caption")
                row.values["caption"] = [own, *captions.get(image_id, [])]
            yield row
        if unknown or faulty:
            yield from self._rejects(unknown, number)

    def _annotations(self) -> Iterator[Element]:
        with self._open() as stream:
            yield from _elements_of(JsonReader(stream), "annotations")

    def _rejects(self, unknown: set[str], number: int) -> Iterator[Row]:
        for line, annotation, fault in self._annotations():
            if fault is None:
                image_id = annotation.get("image_id")
                if image_id is None:
                    fault = "is an annotation without `image_id`"
                elif str(image_id) in unknown:
                    fault = f"is an annotation of the image {image_id}, which is not in the file"
            if fault is not None:
                number += 1
                yield Row(number, fault=f"{self._name}:{line} {fault}")


def _columns(reader: JsonReader, place: Place) -> dict[str, dict[str, Any]]:
    """Return the values of each column by their place in it. Raises SourceError."""
    reader.peek()
    columns = {name: dict(reader.values()) for name in reader.members()}
    first = next(iter(columns.values()))
    for name, values in columns.items():
        if len(values) != len(first):
            raise SourceError(
                f"{place.uri} has {len(first)} values in its first column and {len(values)} in "
                f"{name}: give each column as many"
            )
    return columns


def _column_rows(columns: dict[str, dict[str, Any]]) -> Iterator[Row]:
    first = next(iter(columns.values()))
    for number, key in enumerate(first, 1):
        yield Row(number, {name: values.get(key) for name, values in columns.items()})
