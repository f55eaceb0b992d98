"""YAML into frozen dataclasses: unknown keys refused, every fault told with file, line and key.

The dataclass is the schema. Field types may be ``str int float bool Path``, enums, ``tuple[X, ...]``,
``dict[str, X]``, other dataclasses, ``X | None``, and the units below. A relative `Path` is
taken from the folder of the file. Aliases, duplicate keys, tags and YAML 1.1 surprises (``no``
for false, ``1:30`` for 90) are refused: every plain scalar is read as the field's own type.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any, NewType, TypeVar

import yaml

from gateway.errors import ConfigError

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
"""A configuration file larger or nested deeper than this is a mistake or an attack."""

Seconds = NewType("Seconds", float)
"""A duration; written ``90``, ``90s``, ``15m``, ``12h`` or ``30d``."""

Bytes = NewType("Bytes", int)
"""A size; written ``4096``, ``64 KB``, ``1 MB``, ``20 GB`` (powers of 1000) or ``KiB MiB GiB`` (of 1024)."""

BitRate = NewType("BitRate", int)
"""Bits per second; written ``512 kbit``, ``2 Mbit``, ``1 Gbit`` (of 1000; ``/s`` may follow) or ``0``."""

TimeOfDay = NewType("TimeOfDay", int)
"""Minutes since midnight; written ``08:00`` up to ``24:00``."""

T = TypeVar("T")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_DURATION_UNITS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)?")
_SIZE_UNITS = {None: 1, "B": 1} | {
    f"{letter}{binary}B": (1024 if binary else 1000) ** power
    for power, letter in enumerate("KMGT", start=1)
    for binary in ("", "i")
}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?bit)(?:/s)?|0")
_RATE_UNITS = {None: 0, "bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|(24):(00)")


def load(file: Path, schema: type[T]) -> T:
    """Read a YAML file as `schema`, a frozen dataclass.

    Raises:
        ConfigError: the file is missing, not YAML, or does not fit; with line and key.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=file) from error
    return parse(text, schema, file=file)


def parse(text: bytes, schema: type[T], *, file: Path | None = None) -> T:
    """Read YAML `text` as `schema`; relative paths are taken from the folder of `file`.

    Raises:
        ConfigError: the text is not YAML or does not fit; with line and key.
    """
    root = compose(text, file=file)
    value = _Reader(file).read(root, schema, key="")
    return typing.cast("T", value)


def compose(text: bytes, *, file: Path | None = None) -> yaml.Node:
    """Parse YAML to its node tree (which knows its lines), refusing what no configuration needs.

    Raises:
        ConfigError: too large, too deep, not YAML, empty, aliases, explicit tags or duplicate keys.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(f"is larger than {MAX_BYTES} bytes", file=file)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ConfigError(f"is nested deeper than {MAX_DEPTH}", file=file, line=_line(event))
            if isinstance(event, yaml.AliasEvent):
                raise ConfigError("aliases (*name) are not allowed", file=file, line=_line(event))
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(f"is not YAML: {error.problem}", file=file, line=line) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not YAML: {error}", file=file) from error
    if root is None:
        raise ConfigError("is empty", file=file)
    _refuse_duplicates(root, file, "")
    return root


def _line(thing: yaml.Node | yaml.Event) -> int:
    return int(thing.start_mark.line) + 1 if thing.start_mark else 0


def _join(parent: str, name: str) -> str:
    return f"{parent}.{name}" if parent else name


def _refuse_duplicates(node: yaml.Node, file: Path | None, key: str) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _refuse_duplicates(child, file, f"{key}[{index}]")
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for name, child in node.value:
        if not isinstance(name, yaml.ScalarNode):
            raise ConfigError("a key must be plain text", file=file, line=_line(name), key=key or None)
        path = _join(key, name.value)
        if name.value in seen:
            message = f"is given twice (first on line {seen[name.value]})"
            raise ConfigError(message, file=file, line=_line(name), key=path)
        seen[name.value] = _line(name)
        _refuse_duplicates(child, file, path)


class _Reader:
    """Turns nodes into values of the wanted type, remembering where it is."""

    def __init__(self, file: Path | None) -> None:
        self.file = file

    def fail(self, node: yaml.Node, key: str, message: str) -> ConfigError:
        return ConfigError(message, file=self.file, line=_line(node), key=key or None)

    def read(self, node: yaml.Node, wanted: Any, key: str) -> Any:
        origin = typing.get_origin(wanted)
        if origin in (types.UnionType, typing.Union):
            return self.optional(node, wanted, key)
        if origin is tuple:
            return self.sequence(node, typing.get_args(wanted)[0], key)
        if origin is dict:
            return self.mapping(node, typing.get_args(wanted)[1], key)
        if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
            return self.dataclass(node, wanted, key)
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(node, key, "must be a single value")
        return self.scalar(node, wanted, key)

    def optional(self, node: yaml.Node, wanted: Any, key: str) -> Any:
        inner = [kind for kind in typing.get_args(wanted) if kind is not type(None)]
        if isinstance(node, yaml.ScalarNode) and node.style is None and node.value in ("", "~", "null"):
            return None
        return self.read(node, inner[0], key)

    def sequence(self, node: yaml.Node, wanted: Any, key: str) -> tuple[Any, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.fail(node, key, "must be a list")
        return tuple(self.read(child, wanted, f"{key}[{i}]") for i, child in enumerate(node.value))

    def mapping(self, node: yaml.Node, wanted: Any, key: str) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, key, "must be a mapping of names to values")
        return {name.value: self.read(child, wanted, _join(key, name.value)) for name, child in node.value}

    def dataclass(self, node: yaml.Node, wanted: type, key: str) -> Any:
        if isinstance(node, yaml.ScalarNode) and node.value in ("", "~", "null"):
            node = yaml.MappingNode("tag:yaml.org,2002:map", [], node.start_mark, node.end_mark)
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, key, "must be a mapping")
        # a field `from_` is the key `from`, which Python keeps for itself
        fields = {field.name.rstrip("_"): field for field in dataclasses.fields(wanted) if field.init}
        hints = typing.get_type_hints(wanted)
        values: dict[str, Any] = {}
        for name, child in node.value:
            path = _join(key, name.value)
            if name.value not in fields:
                known = ", ".join(sorted(fields))
                raise self.fail(name, path, f"is not a known key here; known are: {known}")
            field_name = fields[name.value].name
            values[field_name] = self.read(child, hints[field_name], path)
        for name, field in fields.items():
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and field.name not in values:
                raise self.fail(node, _join(key, name), "is missing")
        try:
            return wanted(**values)
        except ValueError as error:  # a dataclass may check itself in __post_init__
            raise self.fail(node, key, str(error)) from error

    def scalar(self, node: yaml.ScalarNode, wanted: Any, key: str) -> Any:
        text = str(node.value)
        if wanted is bool:
            if text not in ("true", "false"):
                raise self.fail(node, key, f"must be true or false, not {text!r}")
            return text == "true"
        if wanted is Seconds or wanted is Bytes:
            return self.quantity(node, wanted, key, text)
        if wanted is BitRate or wanted is TimeOfDay:
            return self.rate_or_time(node, wanted, key, text)
        if wanted in (int, float):
            try:
                return wanted(text)
            except ValueError:
                raise self.fail(node, key, f"must be a number, not {text!r}") from None
        if isinstance(wanted, type) and issubclass(wanted, Enum):
            return self.enum(node, wanted, key, text)
        if wanted is Path:
            return (self.file.parent if self.file else Path()) / Path(text).expanduser()
        return text

    def quantity(self, node: yaml.ScalarNode, wanted: Any, key: str, text: str) -> float | int:
        pattern, units = (_DURATION, _DURATION_UNITS) if wanted is Seconds else (_SIZE, _SIZE_UNITS)
        match = pattern.fullmatch(text)
        if match is None:
            example = "a duration such as 30s, 15m or 12h" if wanted is Seconds else "a size such as 20 GB"
            raise self.fail(node, key, f"must be {example}, not {text!r}")
        amount = float(match[1]) * units[match[2]]
        return amount if wanted is Seconds else round(amount)

    def rate_or_time(self, node: yaml.ScalarNode, wanted: Any, key: str, text: str) -> int:
        match = (_RATE if wanted is BitRate else _TIME).fullmatch(text)
        if match is None:
            example = (
                "a rate such as 512 kbit or 2 Mbit, or 0" if wanted is BitRate else "a time such as 08:00"
            )
            raise self.fail(node, key, f"must be {example}, not {text!r}")
        if wanted is BitRate:
            return round(float(match[1] or 0) * _RATE_UNITS[match[2]])
        return int(match[1] or match[3]) * 60 + int(match[2] or match[4])

    def enum(self, node: yaml.ScalarNode, wanted: type[Enum], key: str, text: str) -> Enum:
        for member in wanted:
            if text in (member.value, member.name.lower()):
                return member
        words = ", ".join(member.name.lower() for member in wanted)
        raise self.fail(node, key, f"must be one of {words}, not {text!r}")
