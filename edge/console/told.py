"""What stations tell in plain English, in Chinese for the page. Pure.

Errors are written once, in English, where they happen; here each sentence that can reach the page has its
translation (`gateway.told`). `tests/unit/edge/console/test_told.py` holds that no sentence is left out.
"""

from __future__ import annotations

from pathlib import Path

from gateway.told import Sentences

SENTENCES = Sentences(Path(__file__).with_name("told.zh.txt").read_text("utf-8"))
told = SENTENCES.told
