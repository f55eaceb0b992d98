"""Every sentence that a station may put on the page has a translation: read out of the sources themselves."""

import ast
import errno
import os
import re
import time
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import edge.config
from edge.config import EdgeConfig
from edge.console import told as module
from edge.console.told import told
from gateway import config, unreached
from gateway.errors import ConfigError

ROOT = Path(__file__).parents[4]
RAISED = {
    "Unavailable": {"edge/hub_client.py", "edge/uplink/exchange.py", "edge/ingest/reporting.py",
                    "edge/ingest/commitments.py", "edge/downlink/deliver_dicom.py",
                    "edge/downlink/deliver_hl7.py", "edge/downlink/deliver_folder.py",
                    "edge/acquire/worklist.py", "edge/downlink/mllp.py", "edge/dicom_node.py"},
    "NotAllowed": {"edge/hub_client.py"},
    "Unverified": {"edge/hub_client.py", "edge/uplink/parcel.py", "edge/uplink/receipts.py",
                   "gateway/envelope/receipt.py", "edge/downlink/verify.py"},
    "Refused": {"edge/acquire/desk.py", "edge/downlink/deliver_dicom.py", "edge/downlink/deliver_folder.py"},
    "Malformed": {"edge/hub_client.py", "edge/uplink/parcel.py", "edge/acquire/files.py",
                  "edge/acquire/picture.py", "edge/acquire/made.py", "edge/downlink/mllp.py",
                  "edge/downlink/oru.py", "edge/downlink/poller.py", "gateway/message.py", "edge/console/imports.py"},
    "Hold": {"gateway/wire/sender.py"},
    "Pause": {"gateway/wire/sender.py"},
    "Verdict": {"edge/verdict.py", "edge/acquire/visit.py"},
    "StorageFull": {"edge/spool/budget.py", "edge/spool/segments.py", "gateway/durable.py"},
    "ResourceError": {"edge/spool/segments.py"},
    "HTTPNotFound": {"edge/console/app.py", "edge/console/messages.py", "edge/console/imports.py"},
    "HTTPMisdirectedRequest": {"edge/console/guard.py"},
    "HTTPForbidden": {"edge/console/guard.py"},
    "Flaw": {"gateway/dicom/walk.py"},
    "ConfigError": {"gateway/config.py"},
    "fail": {"gateway/config.py"},
    "ValueError": {"edge/config.py", "gateway/envelope/kem.py"},
    "append": {"gateway/dicom/walk.py", "edge/ingest/acceptor/watching.py"},
}  # fmt: skip
"""Calls whose text may be shown, and where."""

NOT_SHOWN = {"a judgement without a receipt", "(0010,0010): foreign"}
FOREIGN = "foreign"
LATIN = re.compile("[A-Za-z]{2,}")
KEYS = re.compile(
    r"\b("
    + "|".join(
        sorted(
            {
                *(
                    field.name.rstrip("_")
                    for kind in vars(edge.config).values()
                    if is_dataclass(kind)
                    for field in fields(kind)
                ),
                *(
                    "http://proxy.example:3128",
                    "Asia/Shanghai",
                    "IANA",
                    "YAML",
                    "true",
                    "false",
                    "folder",
                    "dicom",
                    "name",
                ),
            },
            key=len,
            reverse=True,
        )
    )
    + r")\b",
    re.ASCII,
)
"""Of a configuration: its keys, and what is written there, are no words of ours."""


def place(value):
    """What stands for a part of an f-string: itself, one of its choices, a tag, or a foreign word."""
    match value:
        case ast.Constant(str(text)) | ast.FormattedValue(ast.IfExp(body=ast.Constant(str(text)))):
            return text
    return "(0010,0010)" if "name(" in ast.unparse(value) else FOREIGN


def sentence(node):
    """The text of a call's argument, with a foreign word in each of its places; None: it is no text."""
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.JoinedStr(values):
            return "".join(map(place, values))
        case ast.BinOp(left, ast.Add(), right):
            parts = sentence(left), sentence(right)
            return None if None in parts else "".join(parts)
    return None


def sentences():
    found = set()
    for kind, files in RAISED.items():
        for file in files:
            before = len(found)
            for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and getattr(node.func, "id", getattr(node.func, "attr", "")) == kind
                ):
                    values = [*node.args, *(word.value for word in node.keywords)]
                    texts = {text for each in values if (text := sentence(each))}
                    found |= {
                        (file, text) for text in texts if " " in text and not text.startswith(FOREIGN * 2)
                    }
            assert len(found) > before, f"nothing is said by {kind} in {file} any more"
    return sorted(found)


@pytest.mark.parametrize(("file", "text"), sentences())
def test_every_sentence_of_the_sources_has_chinese(file, text):
    if text in NOT_SHOWN:
        return
    text = text.strip()
    shown = told(text, "zh")
    left = re.sub(r"foreign|\(0010,0010\)|C-STORE|DICOM(DIR)?|PDF|HL7|MLLP|JPEG|PNG|TIFF|MSA-[12]|UID|SOP|Instance"
                  r"|VR|0x[0-9A-F]*|multipart/form-data|console\.names|at、id、purpose、study 和 text|ingest\.senders|report_host", "", shown)  # fmt: skip
    assert re.search(r"[\u4e00-\u9fff]", shown) or text.startswith(FOREIGN), shown
    assert not LATIN.search(KEYS.sub("", left)), shown
    assert told(text, "en") == text


@pytest.mark.parametrize("words", unreached._WORDS.values())
def test_why_something_cannot_be_reached(words):
    shown = told("the hub cannot be reached: " + words.format(place="10.0.0.1:443"), "zh")
    assert "10.0.0.1:443" in shown
    assert not re.search("[A-Za-z]", shown.replace("DNS", ""))


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EIO, errno.ECONNREFUSED])
def test_what_the_system_says(number, tmp_path):
    error = OSError(number, os.strerror(number), str(tmp_path))
    assert re.search(r"[\u4e00-\u9fff]", told(str(error), "zh"))
    assert str(tmp_path) in told(str(error), "zh")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("CT1: what nobody knows", "CT1：what nobody knows"),
        (
            "IM1: pixel data claims 9 bytes, more than there are; no Study, Series UID (kept)",
            "IM1：像素数据声称有 9 字节，实际不足；缺少 Study, Series UID（已保存）",
        ),
        ("budget 08:00–18:00: nothing", "限速时段 08:00–18:00：不传输"),
        ("x" * 5000, "x" * 5000),
        ("a {b} {0} %s cannot be reached", "无法连接 a {b} {0} %s"),
    ],
)
def test_what_is_not_known_stays_and_what_is_known_within_it_does_not(text, shown):
    assert told(text, "zh") == shown


def test_hostile_words_take_no_time():
    for text in ("; " * 240, ": " * 240, " × " * 150, "a at " * 90, "(kept) " * 70, "[Errno " * 70):
        began = time.thread_time()
        told(text, "zh")
        assert time.thread_time() - began < 0.5, text[:9]


def test_no_two_rules_are_for_the_same_sentence():
    patterns = [pattern.pattern for pattern, _ in module.SENTENCES.rules]
    assert len(patterns) == len(set(patterns))


@pytest.mark.parametrize("hours", [-51, 3])
def test_by_how_much_the_clock_is_off(hours):
    now = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
    shown = told(f"{unreached.clocks_apart(now + timedelta(hours=hours), now)}; set it, best by NTP", "zh")
    assert not re.search("[A-Za-z]", re.sub(r"\d (d|h|min)\b|UTC|NTP", "", shown)), shown


@pytest.mark.parametrize(
    "yaml",
    [
        "data: x\nuplink: {names: []}\n",
        "data: x\nuplink: {budget: 7}\n",
        "data: x\nuplink: {idle_timeout: soon}\n",
        "data: x\nspool: {reserve: much}\n",
        "data: x\nuplink: {congestion: cubic}\n",
        "data: x\nconsole: {port: http}\n",
        "data: x\ningest: {open: maybe}\n",
        "data: x\nuplink: {budget: [{from: 8 o'clock, rate: 1 Mbit}]}\n",
        "data: x\nuplink: {budget: [{from: '08:00', to: '08:00', rate: 1 Mbit}]}\n",
        "data: x\ndestinations: [{name: a, kind: hl7}]\n",
        "data: x\nsuites: [none]\n",
        "spool: {}\n",
        "data: x\ndata: y\n",
        "data: [\n",
        "",
    ],
)
def test_a_fault_of_the_configuration(yaml, tmp_path):
    file = tmp_path / "edge.yaml"
    file.write_text(yaml)
    with pytest.raises(ConfigError) as found:
        config.load(file, EdgeConfig)
    shown = "; ".join(told(part, "zh") for part in str(found.value).split("; "))
    assert re.search(r"[\u4e00-\u9fff]", shown), shown
    given = (
        r"可用的有：.*|'.*?'|\".*?\"|一次：.*|之一：[a-z, ]*|hl7|YAML：.*|30s|15m|12h|512 kbit|2 Mbit|20 GB"
    )
    left = re.sub(given, "", shown.replace(str(file), ""))
    assert not LATIN.search(KEYS.sub("", left)), shown
