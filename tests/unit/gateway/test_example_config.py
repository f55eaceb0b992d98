"""The example explains every key of both programs, and both programs read it."""

import dataclasses
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from edge.config import EdgeConfig
from gateway.config import parse
from hub.config import HubConfig

EXAMPLE = Path(__file__).parents[3] / "config.example.yaml"
_, HUB, EDGE = EXAMPLE.read_text().split("\n---\n")


@pytest.mark.parametrize(("text", "schema"), [(HUB, HubConfig), (EDGE, EdgeConfig)])
def test_the_program_reads_the_example(text: str, schema: type) -> None:
    assert isinstance(parse(text.encode(), schema, file=EXAMPLE), schema)


def _keys(schema: Any) -> set[str]:
    found: set[str] = set()
    for name, hint in get_type_hints(schema).items():
        found.add(name.rstrip("_"))
        for kind in (hint, *get_args(hint)):
            if dataclasses.is_dataclass(kind):
                found |= _keys(kind)
    return found


@pytest.mark.parametrize(("text", "schema"), [(HUB, HubConfig), (EDGE, EdgeConfig)])
def test_every_key_stands_in_the_example(text: str, schema: type) -> None:
    missing = {key for key in _keys(schema) if not re.search(rf"\b{key}:", text)}
    assert missing == set()
