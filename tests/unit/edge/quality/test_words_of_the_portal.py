"""The reader's portal has words for all that an edge may notice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.quality.glimpse import ACQUISITION
from edge.quality.words import TAKEN, WORDS

I18N = Path(__file__).parents[4] / "hub" / "portal" / "web" / "src" / "i18n"


@pytest.mark.parametrize(("language", "index"), [("en", 0), ("zh", 1)])
def test_the_portal_says_the_same(language: str, index: int) -> None:
    said = json.loads((I18N / f"{language}.json").read_text("utf-8"))
    for kind, words in WORDS.items():
        assert said[f"quality.{kind}"] == words[index]
    assert {name: words[index] for name, words in TAKEN.items()} == {
        name: said[f"taken.{name}"] for name in ACQUISITION
    }
