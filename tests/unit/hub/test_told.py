"""Every sentence that the hub may put into an alert has a translation: read out of the sources themselves."""

import ast
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway import doctor
from hub.fleet.turns import COPY
from hub.fleet.uses import Uses
from hub.told import SENTENCES, in_chinese

ROOT = Path(__file__).parents[3]
FILES = (
    "hub/rows.py", "hub/rows_accounts.py", "hub/rows_cases.py", "hub/rows_fleet.py", "hub/rows_images.py",
    "hub/rows_trail.py", "hub/standing.py", "hub/sealed.py", "hub/fleet/uses.py", "hub/fleet/turns.py",
    "hub/checks.py", "hub/intake/conveyor.py",
)  # fmt: skip
"""Where alerts without words of the portal's own are told."""
FOREIGN = "foreign"
IN_PART = {
    "foreign can be read",  # that is good
    "foreign; the portal says what to do, under Alerts",  # the doctor's alone
    "not made yet; the hub makes it when it starts",  # that is good
    "its key is used in two places at once: two runs of the edge take turns",  # `test_a_key_in_two_places`
    "foreign (now from foreign); revoke it unless both are yours",
}
KEPT = re.compile(r"foreign|telerad certs crl|root\.key|keys/access\.key|CA|UTC|GB|audit trail")
SENTENCE = re.compile(r"[a-z]+ [a-z]")


def text(node):
    """The text of an expression, with a foreign word in each of its places; None: it is none."""
    match node:
        case ast.Constant(str(value)):
            return value
        case ast.JoinedStr(values):
            return "".join(text(one) or FOREIGN for one in values)
        case ast.FormattedValue(ast.IfExp(ast.Constant(), body=ast.Constant(str(value)))):
            return value
    return None


def sentences():
    found = set()
    for file in FILES:
        tree, passed = ast.parse((ROOT / file).read_text("utf-8")), set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                passed.add(node.value)  # a docstring
            if isinstance(node, ast.JoinedStr):
                passed.update(set(ast.walk(node)) - {node})
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
                passed.update(ast.walk(node))
        told = {
            said
            for node in ast.walk(tree)
            if node not in passed and (said := text(node)) and SENTENCE.search(said)
        }
        assert told, f"nothing is told in {file} any more"
        found |= {(file, one.strip()) for one in told}
    return sorted(found)


@pytest.mark.parametrize(("file", "words"), sentences())
def test_every_sentence_of_the_sources_has_chinese(file, words):
    if words in IN_PART:
        return
    if words.startswith("foreign (entry "):
        words = f"report {words}"
    if file == "hub/fleet/turns.py" and words.startswith(FOREIGN):
        words = words.replace(FOREIGN, COPY, 1).format(shown=FOREIGN, newest=FOREIGN)
    shown = in_chinese(words.replace("come from foreign by", "come from foreign and foreign by"))
    assert re.search(r"[\u4e00-\u9fff]", shown) or words.startswith("foreign "), shown
    assert not re.search("[A-Za-z]{2,}", KEPT.sub("", shown)), shown


def test_what_the_doctor_finds(tmp_path, monkeypatch):
    now = datetime(2026, 11, 1, tzinfo=UTC)
    found = [doctor.disk(tmp_path, reserve) for reserve in (1, 1 << 62)]
    monkeypatch.setattr(doctor.os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    found.append(doctor.disk(tmp_path, 1))

    class Leaf:
        not_valid_before_utc, not_valid_after_utc = now, now + timedelta(days=10)

    found += [doctor.certificate("issuer CA", Leaf, now + timedelta(days=days)) for days in (-1, 1, 9, 11)]
    for one in found:
        shown = in_chinese(f"{one.what}: {one.words}").replace(str(tmp_path), "")
        assert not re.search("[A-Za-z]{2,}", re.sub("UTC|GB|CA|issuer|fsck", "", shown)), shown


def test_many_faults_are_told_one_by_one():
    many = "; ".join(f"case {number}: it is there, and nobody made it" for number in range(30))
    assert in_chinese(many).count("已存在，但无人创建") == 30
    assert in_chinese("parcel a1 (entry 7): its row is gone") == "包 a1（条目 7）：其记录已不存在"
    assert in_chinese("what nobody knows") == "what nobody knows"


def test_a_key_in_two_places():
    uses, who = Uses(), ("H001", "1")
    said = [uses.note(who, run, "10.0.0.1", float(at)) for at, run in enumerate("abab")]
    (words,) = {one for one in said if one}
    assert (
        in_chinese(words)
        == "其密钥同时在两处使用：前置机的两次运行交替出现（当前来自 10.0.0.1）；若非两者都属于你们，请吊销"
    )


def test_no_two_rules_are_for_the_same_sentence():
    patterns = [pattern.pattern for pattern, _ in SENTENCES.rules]
    assert len(patterns) == len(set(patterns))
