"""The configuration reader: what it reads, and how it tells each fault with file, line and key."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest

from gateway.config import Bytes, Seconds, load, parse
from gateway.errors import ConfigError


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    port: int = 1
    wait: Seconds = Seconds(1)


@dataclass(frozen=True)
class Outer:
    name: str
    folder: Path = Path()
    size: Bytes = Bytes(0)
    on: bool = False
    colour: Colour = Colour.RED
    maybe: int | None = 5
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()
    table: dict[str, int] = field(default_factory=dict)


def test_reads_every_kind_of_value(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "name: no\nfolder: data\nsize: 2 MiB\non: true\ncolour: blue\nmaybe: null\n"
        "inner: {port: 7, wait: 1.5m}\nmany:\n  - {port: 1}\n  - {wait: 250ms}\ntable: {a: 1}\n"
    )
    value = load(file, Outer)
    assert value == Outer(
        name="no",  # not the YAML 1.1 false
        folder=tmp_path / "data",
        size=Bytes(2 << 20),
        on=True,
        colour=Colour.BLUE,
        maybe=None,
        inner=Inner(7, Seconds(90)),
        many=(Inner(1), Inner(1, Seconds(0.25))),
        table={"a": 1},
    )


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("name: a\nnmae: b\n", 2, "nmae", "not a known key"),
        ("name: a\ninner:\n  prt: 1\n", 3, "inner.prt", "not a known key"),
        ("name: a\nname: b\n", 2, "name", "given twice (first on line 1)"),
        ("folder: x\n", 1, "name", "is missing"),
        ("name: a\ninner: {port: x}\n", 2, "inner.port", "must be a number"),
        ("name: a\nmany: 3\n", 2, "many", "must be a list"),
        ("name: a\non: yes\n", 2, "on", "true or false"),
        ("name: a\nsize: 3 parsecs\n", 2, "size", "a size such as"),
        ("name: a\ninner: {wait: 1:30}\n", 2, "inner.wait", "a duration such as"),
        ("name: a\ncolour: green\n", 2, "colour", "one of red, blue"),
        ("name: [a]\n", 1, "name", "single value"),
        ("name: &x a\nfolder: *x\n", 2, None, "aliases"),
        ("name: {\n", 2, None, "not YAML"),
        ("- a\n", 1, None, "must be a mapping"),
        ("", None, None, "empty"),
        ("a: " * 400_000, None, None, "larger than"),
    ],
)
def test_tells_each_fault_with_its_place(text: str, line: int | None, key: str | None, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), Outer, file=Path("x.yaml"))
    assert (caught.value.line, caught.value.key) == (line, key)
    assert words in str(caught.value)
    assert str(caught.value).startswith("x.yaml")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "absent.yaml", Outer)
