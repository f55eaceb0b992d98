"""Rules the front end keeps, and its own unit tests run by the Node.js that comes as a wheel."""

import json
import re
from pathlib import Path

import pytest

from build_steps.faults import BuildFault
from build_steps.node import Node

WEB = Path(__file__).parents[4] / "hub" / "portal" / "web"
SOURCES = sorted((WEB / "src").rglob("*.ts"))
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|unsafeHTML|unsafeSVG|insertAdjacentHTML|document\.write|\beval\(|new Function"
)
WORDS = {
    name: json.loads((WEB / "src" / "i18n" / f"{name}.json").read_text("utf-8")) for name in ("en", "zh")
}
OPEN_SETS = (
    "role",
    "priority",
    "sex",
    "state",
    "delivery",
    "step",
    "outcome",
    "kind",
    "need",
    "purpose",
    "section",
    "column",
    "report",
    "admin",
    "alert",
    "edge",
    "event",
    "age",
    "custody",
    "images",
    "arrival",
    "complete",
    "noticed",
    "quality",
    "return",
    "severity",
    "taken",
)


def test_there_are_sources() -> None:
    assert len(SOURCES) > 25


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(WEB)))
def test_nothing_turns_text_into_markup(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not FORBIDDEN.search(text)
    assert path.name == "api.ts" or not re.search(r"\bfetch\(|XMLHttpRequest|sendBeacon", text), (
        "requests go through api.ts"
    )
    assert ' style="' not in text, "the content security policy refuses inline styles"
    assert len(text.splitlines()) <= 420


def test_both_languages_say_everything() -> None:
    assert list(WORDS["en"]) == list(WORDS["zh"])
    for key, english in WORDS["en"].items():
        assert WORDS["zh"][key].strip(), key
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", WORDS["zh"][key])), key


def test_no_word_is_unused_or_missing() -> None:
    text = "\n".join(path.read_text("utf-8") for path in SOURCES)
    used = set(re.findall(r"\bt\(\s*'([\w.]+)'", text)) | set(re.findall(r"[?:] t\('([\w.]+)'\)", text))
    assert used <= set(WORDS["en"])
    assert [key for key in WORDS["en"] if key not in used and key.split(".")[0] not in OPEN_SETS] == []


def test_the_unit_tests_of_the_front_end() -> None:
    try:
        node = Node.from_wheel()
    except BuildFault as fault:
        pytest.skip(str(fault))
    said = node.script("test", WEB)
    assert re.search(r"pass [1-9]\d", said), said
    assert "fail 0" in said
