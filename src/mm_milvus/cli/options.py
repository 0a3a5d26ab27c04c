"""Options of commands, made from dataclasses of options: names, types, defaults and help."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial, wraps
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

import typer

from mm_milvus.choices import ProgressMode
from mm_milvus.cli.messages import CODE
from mm_milvus.errors import OptionError

R = TypeVar("R")
T = TypeVar("T")
Function = Callable[..., R]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """How the command line writes a field, where that does not follow from its name and type.

    Attributes:
        names: The option (default: the field's name with dashes).
        type: The type that Typer reads, as an annotation (default: the field's).
        parse: Turns what Typer read into the field's value.
        write: Turns a mapping into what the user writes, for examples in the help text.
        metavar: What stands for the value in the help (default: the type, or the choices).
        help: The help text (default: the field's entry in the dataclass's docstring).
        panel: The section of the help page (default: that of the dataclass's options).
        default: What Typer passes where the option is left out (default: the field's default).
        shown_default: The default that the help shows, where the field's is computed.
    """

    names: tuple[str, ...] = ()
    type: Any = None
    parse: Callable[[Any], Any] | None = None
    write: Callable[[Any], str] | None = None
    metavar: str | None = None
    help: str | None = None
    panel: str | None = None
    default: Any = ...
    shown_default: str | None = None


@dataclass(frozen=True, slots=True)
class Pairs(Generic[T]):
    """The syntax of an option that takes a mapping, such as `image=0.7,title=0.3`.

    Attributes:
        option: The option's name, for messages.
        separator: What stands between a name and its value.
        metavar: One pair, for the help and for messages.
        example: A valid pair.
        convert: Turns the text of a value into the value; raises ValueError.
    """

    option: str
    separator: str
    metavar: str
    example: str
    convert: Callable[[str], T]

    def parse(self, text: str) -> dict[str, T]:
        """Return the mapping that a text stands for. Raises OptionError."""
        pairs: dict[str, T] = {}
        for part in text.split(","):
            name, separator, value = (piece.strip() for piece in part.rpartition(self.separator))
            try:
                pairs[name] = self.convert(value)
            except ValueError:
                name = ""
            if not (name and separator and value):
                raise OptionError(
                    f"{self.option} has {part.strip()!r}; write {self.metavar}, "
                    f"as in {self.example}"
                )
        return pairs

    def write(self, mapping: Mapping[str, T]) -> str:
        """Return the text that stands for a mapping."""
        return ",".join(f"{name}{self.separator}{value}" for name, value in mapping.items())

    def flag(self, **keywords: Any) -> Flag:
        """Return how a field with a mapping is written."""
        return Flag(
            names=(self.option,),
            type=str,
            parse=self.parse,
            write=self.write,
            metavar=f"{self.metavar},...",
            **keywords,
        )


PROGRESS = Flag(names=("--progress",), type=ProgressMode, default="auto")
"""The library shows no progress unless asked to, the command line does unless asked not to."""


def comma_list(text: str) -> tuple[str, ...]:
    """Return the names of a list such as `A,B`."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def choose_from(choices: Sequence[str], label: str) -> Callable[[str], str]:
    """Return a `typer.Option(parser=...)` whose error lists the choices in one sentence."""

    def choose(value: str) -> str:
        if value not in choices:
            raise OptionError(f"unknown {label} {value!r}: choose {', '.join(choices)}")
        return value

    return choose


def options_of(
    options: type,
    *,
    panel: str,
    into: str = "options",
    leave_out: Sequence[str] = (),
    **flags: Flag,
) -> Callable[[Function[R]], Function[R]]:
    """Give a command the fields of a dataclass as options; the command gets the dataclass.

    A `Literal` becomes choices, a tuple a repeatable option, a bool a flag. An option that the
    user leaves out keeps the default of its field.

    Args:
        options: A frozen dataclass whose docstring has an `Attributes:` section.
        panel: The section of the help page.
        into: The parameter of the command that gets the dataclass.
        leave_out: Fields that are no options of this command.
        **flags: How fields are written that differ on the command line.
    """
    fields = [field for field in dataclasses.fields(options) if field.name not in leave_out]
    if "progress" in {field.name for field in fields}:
        flags.setdefault("progress", PROGRESS)
    if unknown := flags.keys() - {field.name for field in fields}:
        raise TypeError(f"{options.__name__} has no field {min(unknown)}")
    parameters = list(_parameters(options, fields, panel, flags))
    if "progress" in flags:
        parameters.append(NO_PROGRESS)

    def build(_stack: ExitStack, **values: Any) -> Any:
        if values.pop(NO_PROGRESS.name, False):
            values["progress"] = "none"
        return options(**dict(_field_values(values, flags)))

    return partial(replace_parameter, into, parameters, build)


def _field_values(values: dict[str, Any], flags: Mapping[str, Flag]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if value is None:
            continue
        parse = flags[name].parse if name in flags else None
        if parse is not None:
            value = parse(value)
        yield name, tuple(value) if isinstance(value, list) else value


def replace_parameter(
    name: str,
    options: Sequence[inspect.Parameter],
    build: Callable[..., Any],
    command: Function[R],
) -> Function[R]:
    """Return a command with options in place of one parameter, which is built at the call.

    Args:
        name: The parameter of the command.
        options: The parameters that Typer sees instead.
        build: Called with an `ExitStack`, closed when the command returns, and the values of the
            options; returns the value of the parameter.
        command: The command.
    """
    signature = inspect.signature(command, eval_str=True)
    if name not in signature.parameters:
        raise TypeError(f"{command.__name__} has no parameter {name}")
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        parameters += options if parameter.name == name else [parameter]

    @wraps(command)
    def call(**values: Any) -> R:
        inputs = {option.name: values.pop(option.name) for option in options}
        with ExitStack() as stack:
            return command(**values, **{name: build(stack, **inputs)})

    # Typer reads the signature and, by typing.get_type_hints, the annotations.
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    )
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def option(name: str, annotation: Any, default: Any, *names: str, **keywords: Any) -> Any:
    """Return a parameter that Typer reads as an option; the keywords are `typer.Option`'s."""
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[annotation, typer.Option(*names, **keywords)],
        default=default,
    )


NO_PROGRESS: Any = option("no_progress", bool, False, "--no-progress", hidden=True)
"""An older way to write `--progress none`."""


def _parameters(
    options: type, fields: Sequence[Any], panel: str, flags: Mapping[str, Flag]
) -> Iterator[inspect.Parameter]:
    docs = field_docs(options)
    names = {field.name: _names(field.name, flags.get(field.name)) for field in fields}
    for field in fields:
        flag = flags.get(field.name, Flag())
        annotation = _annotation(flag.type or field_type(options, field.name))
        choices = _choices(annotation)
        repeatable = get_origin(annotation) is list
        if choices and repeatable:
            annotation = list[str]  # Typer takes no list of a Literal
        default = flag.default
        if default is ...:
            # A tuple or mapping that is left out keeps the default of its field.
            keeps = flag.parse or repeatable
            default = None if keeps or field.default is dataclasses.MISSING else field.default
        label = names[field.name][0].removeprefix("--").replace("-", " ")
        yield option(
            field.name,
            annotation | None if default is None else annotation,
            default,
            *names[field.name],
            help=flag.help or _help(docs.get(field.name, ""), names, flag),
            metavar=flag.metavar or ("|".join(choices) if repeatable and choices else None),
            show_default=flag.shown_default or True,
            rich_help_panel=flag.panel or panel,
            parser=choose_from(choices, label) if choices else None,
            autocompletion=_completion(choices) if repeatable and choices else None,
        )


def field_type(options: type, name: str) -> Any:
    """Return the type of a field; those of other fields need not be importable at runtime."""
    for base in options.__mro__:
        if annotation := inspect.get_annotations(base).get(name):
            holder = SimpleNamespace(__annotations__={name: annotation})
            return get_type_hints(holder, vars(sys.modules[base.__module__]))[name]
    raise TypeError(f"{options.__name__} has no field {name}")


def _names(field: str, flag: Flag | None) -> tuple[str, ...]:
    return (flag.names if flag else ()) or (f"--{field.replace('_', '-')}",)


def _without_none(annotation: Any) -> Any:
    """The type inside of `T | None`."""
    if get_origin(annotation) is UnionType or type(None) in get_args(annotation):
        [annotation] = [arg for arg in get_args(annotation) if arg is not NoneType]
    return annotation


def _annotation(field_type: Any) -> Any:
    """The annotation that Typer reads: a tuple of any length is a list."""
    field_type = _without_none(field_type)
    if get_origin(field_type) is tuple and get_args(field_type)[-1] is Ellipsis:
        return list[get_args(field_type)[0]]  # type: ignore[misc]
    return field_type


def _choices(annotation: Any) -> tuple[str, ...]:
    """The choices of a `Literal`, or of a list of one."""
    if get_origin(annotation) is list:
        [annotation] = get_args(annotation)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _completion(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


def _help(text: str, names: Mapping[str, tuple[str, ...]], flag: Flag) -> str:
    """The help of an option, with the names of options for fields, and its syntax for mappings."""

    def written(code: re.Match[str]) -> str:
        if code[1] in names:
            return f"`{names[code[1]][0]}`"
        if flag.write is not None and code[1].startswith("{"):
            return f"`{flag.write(ast.literal_eval(code[1]))}`"
        return str(code[0])

    return CODE.sub(written, text)


def field_docs(options: type) -> dict[str, str]:
    """Return what the `Attributes:` sections of a dataclass and its bases say of each field."""
    docs: dict[str, str] = {}
    for base in reversed(options.__mro__):
        docs |= _attributes(base.__dict__.get("__doc__") or "")
    return docs


def _attributes(docstring: str) -> dict[str, str]:
    _, _, section = inspect.cleandoc(docstring).partition("\nAttributes:\n")
    docs: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line and not line.startswith(" " * 4):
            break
        if line[4:5].strip():
            name, _, text = line.strip().partition(": ")
            docs[name] = text
        elif name and line.strip():
            docs[name] += f" {line.strip()}"
    return docs
