"""The statement beside real associations and real routes: what it lists is what happens, and nothing else."""

from __future__ import annotations

import html.parser
import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom._uid_dict import UID_dictionary
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from edge.acquire.worklist import Worklist
from edge.config import EdgeConfig, OrderList
from edge.conformance import SERVICES
from edge.ingest.acse import VERIFICATION
from edge.ingest.listener import DicomListener
from edge.ingest.offered import Offered
from edge.ingest.pdu import MAX_PDU
from edge.verdict import Status
from gateway import config
from gateway.cli import main
from gateway.conformance.command import statement
from gateway.conformance.document import Section, Statement, Table, simple_table
from gateway.dicom.names import name_of
from hub.dicomweb.routes import routes
from tests.doubles.hand_clock import HandClock
from tests.doubles.ris import ris
from tests.doubles.spools import SpoolWorld

EDGE = """
data: {folder}/edge
ingest: {{ae_title: GATEWAY, host: 127.0.0.1, port: 0, secret: {folder}/key, accept_deflated: {deflated},
          senders: [{{ae_title: CT1}}]}}
acquire: {{stow: {{open: true}}, worklist: {{host: 127.0.0.1, ae_title: RIS}}}}
"""
HUB = "data: {folder}/hub\npki: pki\nrules: rules.yaml\n"
DEFLATED = "1.2.840.10008.1.2.1.99"


def sections(found: tuple[Section, ...]) -> dict[str, Section]:
    return {one.title: one for part in found for one in (part, *part.sections)}


def column(table: Table, name: str) -> list[str]:
    return [row[table.columns.index(name)] for row in table.rows]


@pytest.fixture(params=["true", "false"])
def stated(request: pytest.FixtureRequest, tmp_path: Path):
    file = tmp_path / "edge.yaml"
    file.write_text(EDGE.format(folder=tmp_path, deflated=request.param))
    settings = config.load(file, EdgeConfig)
    world = SpoolWorld(settings.data)
    offered = Offered(settings.ingest, settings.data, world.spool, world.clock)
    listener = DicomListener(settings.ingest, world.spool, world.clock, services=offered.services)
    listener.start()
    yield sections(statement([file]).sections), listener, offered, request.param == "true"
    listener.stop(5)
    offered.close()
    world.spool.close()


@pytest.fixture(autouse=True)
def every_socket_closed(monkeypatch):
    """Where nothing is accepted, pynetdicom leaves its socket to the collector."""
    opened, associate = [], AE.associate

    def noted(*words, **options):
        handlers = [(evt.EVT_CONN_OPEN, lambda event: opened.append(event.assoc.dul.socket.socket))]
        return associate(*words, evt_handlers=handlers, **options)

    monkeypatch.setattr(AE, "associate", noted)
    yield
    for one in opened:
        one.close()


def accepted(port: int, pairs: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """What of these is accepted, 128 contexts to an association."""
    found = set()
    for start in range(0, len(pairs), 128):
        contexts = [build_context(sop, syntax) for sop, syntax in pairs[start : start + 128]]
        association = AE(ae_title="CT1").associate("127.0.0.1", port, contexts=contexts, ae_title="GATEWAY")
        assert association.is_established or association.is_aborted  # by pynetdicom: nothing was accepted
        assert association.acceptor.maximum_length == MAX_PDU
        found |= {
            (str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in association.accepted_contexts
        }
        if association.is_established:
            association.release()
    return found


def test_every_listed_context_is_accepted_and_no_other(stated):
    found, listener, offered, deflated = stated
    syntaxes, classes, _, plain = found["Storage SCP"].tables
    taken = column(syntaxes, "UID")
    assert (DEFLATED in taken) is deflated
    storage = column(classes, "UID")
    assert len(storage) > 150
    first = storage[0]
    pairs = [(first, syntax) for syntax in taken] + [(sop, taken[1]) for sop in storage]
    services = [(sop, syntax) for sop in SERVICES for syntax in column(plain, "UID")]
    assert accepted(listener.port, pairs + services) == {*pairs, *services}
    assert {*offered.services, VERIFICATION} == set(SERVICES)

    others = [uid for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class"]
    unlisted = [(uid, taken[1]) for uid in others if uid not in {*storage, *SERVICES}]
    assert len(unlisted) > 50
    unlisted += [(sop, DEFLATED) for sop in SERVICES]
    unlisted += [] if deflated else [(first, DEFLATED)]
    assert accepted(listener.port, unlisted) == set()


def test_strangers_are_rejected_as_it_says(stated):
    found, listener, *_ = stated
    rejections = found["Associations"].tables[1]
    reasons = dict(zip(column(rejections, "meaning"), column(rejections, "reason"), strict=True))
    for calling, called, meaning in (
        ("NOBODY", "GATEWAY", "calling ae not recognized"),
        ("CT1", "OTHER", "called ae not recognized"),
    ):
        entity = AE(ae_title=calling)
        entity.add_requested_context(VERIFICATION)
        association = entity.associate("127.0.0.1", listener.port, ae_title=called)
        assert association.is_rejected
        primitive = association.acceptor.primitive
        assert (primitive.result, str(primitive.diagnostic)) == (1, reasons[meaning])


def test_every_status_of_the_code_is_listed(stated):
    table = stated[0]["Storage SCP"].tables[2]
    listed = {int(status, 16) for status in column(table, "status")}
    assert listed == {*map(int, Status), 0x0117}


def test_the_worklist_is_asked_for_what_is_listed(stated):
    listed = column(stated[0]["Modality worklist SCU"].tables[3], "return key")
    questions = []
    with ris([], seen=lambda event: questions.append(event.identifier)) as port:
        Worklist(OrderList("127.0.0.1", "RIS", port), "GATEWAY", HandClock()).look()
    (asked,) = questions
    (step,) = asked.ScheduledProcedureStepSequence
    found = [element.keyword for dataset in (asked, step) for element in dataset]
    assert sorted(found) == sorted([*listed, "SpecificCharacterSet", "ScheduledProcedureStepSequence"])


def test_the_hubs_resources_are_its_routes(tmp_path):
    (tmp_path / "hub.yaml").write_text(HUB.format(folder=tmp_path))
    found = sections(statement([tmp_path / "hub.yaml"]).sections)
    resources = found["Resources"].tables[0]
    listed = list(zip(column(resources, "method"), column(resources, "resource"), strict=True))

    class Anything:
        def __getattr__(self, name):
            return self

    assert sorted(listed) == sorted((one.method, one.path) for one in routes(Anything(), Anything()))
    assert "PatientName" in column(found["Search attributes"].tables[0], "attribute")


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_command_writes_each_form(tmp_path, capsys):
    edge, hub = tmp_path / "edge.yaml", tmp_path / "hub.yaml"
    edge.write_text(EDGE.format(folder=tmp_path, deflated="false"))
    hub.write_text(HUB.format(folder=tmp_path))
    words = ["conformance", "-c", str(edge), "--hub", str(hub)]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "## 1 Edge, AE title GATEWAY" in text
    assert "### 2.1 Resources" in text
    assert f"| {name_of(VERIFICATION)} | {VERIFICATION} | SCP |" in text
    assert main([*words, "--format", "json"]) == 0
    assert [one["title"] for one in json.loads(capsys.readouterr().out)["sections"]] == [
        "Edge, AE title GATEWAY",
        "Hub hub",
    ]
    assert main([*words, "--format", "html", "-o", str(tmp_path / "out.html")]) == 0
    tags = Tags()
    tags.feed((tmp_path / "out.html").read_text())
    assert tags.open == []
    assert tags.seen.count("table") > 20
    assert main(["conformance", "-c", str(tmp_path / "none.yaml")]) == 2


def test_what_stands_in_a_cell_stays_there():
    made = Statement("T", (Section("A", ("<b>",), (Table.of(("x",), [("a|b",)]),)),))
    assert "a\\|b" in made.as_markdown()
    assert "&lt;b&gt;" in made.as_html()


def test_a_docstring_without_a_table():
    with pytest.raises(ValueError, match="no table"):
        simple_table("nothing here")
    assert replace(simple_table("==  ==\na   b\n==  ==\n1   2\n    3\n==  =="), title="") == Table.of(
        ("a", "b"), [("1", "2 3")]
    )
