"""Every command of ``telerad`` explains itself, with examples that it understands."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from importlib.metadata import entry_points

import pytest

from gateway import cli

COMMANDS = sorted(point.name for point in entry_points(group="telerad.commands"))


def tree(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"telerad {name}")
    (point,) = entry_points(group="telerad.commands", name=name)
    point.load()(parser)
    cli._lend_examples(parser, "")
    return parser


def below(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from below(child)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_begin_with_it(name: str) -> None:
    for parser in below(tree(name)):
        assert parser.epilog is not None, parser.prog
        assert "examples:" in parser.epilog, parser.prog
        assert f"telerad {name} " in parser.epilog, parser.prog


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_understood(name: str) -> None:
    root = tree(name)
    for parser in below(root):
        text = re.sub(r"\\\n\s*", "", parser.epilog or "")
        for line in text.splitlines():
            if not line.startswith("  telerad "):
                continue
            words = shlex.split(re.split(r"(?<=\S) {3,}", line)[0])[1:]
            if words[0] == name:
                root.parse_args(words[1:])


def test_a_command_is_lent_the_lines_that_use_it() -> None:
    lines = "examples:\n  telerad x y -a \\\n      -b\n  telerad x z\n  cat w | telerad x w -i\n"
    assert cli._using("telerad x y", lines) == "examples:\n  telerad x y -a \\\n      -b"
    assert cli._using("telerad x w", lines) == "examples:\n  cat w | telerad x w -i"
    assert cli._using("telerad x v", lines) == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["verify", "/nonexistent/report.pdf"], 2),
        (["edge", "run", "-c", "/nonexistent/edge.yaml"], 2),
        (["hub", "run", "-c", "/nonexistent/hub.yaml"], 2),
        (["rules", "check", "/nonexistent/rules.yaml"], 2),
        (["doctor", "-c", "/nonexistent/edge.yaml"], 2),
    ],
)
def test_a_file_that_is_not_there_is_wrong_usage(
    words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == code
    assert "/nonexistent/" in capsys.readouterr().err
