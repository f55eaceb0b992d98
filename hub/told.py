"""What the hub finds, told in plain English, in Chinese for the portal. Pure.

Alerts carry the sentence that was written where the thing was found; the portal has words of its own for most
kinds, and shows this for those whose sentence says which row, key or file it is. The table is `told.zh.txt`;
`tests/unit/hub/test_told.py` holds that no sentence is left out.
"""

from __future__ import annotations

from pathlib import Path

from gateway.told import Sentences

SENTENCES = Sentences(Path(__file__).with_name("told.zh.txt").read_text("utf-8"))


def in_chinese(words: str) -> str:
    """The words of an alert, which may be many sentences; what is not known stays as it is."""
    return "；".join(SENTENCES.told(part, "zh") for part in words.split("; "))
