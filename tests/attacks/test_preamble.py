"""Row 19 of the threat model: a DICOM file that is a program or a web page as well (CVE-2019-11687)."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.acquire.files import take_file
from edge.acquire.stow import stow_app
from edge.acquire.visit import Source, Visit
from edge.config import Ingest, Stow
from gateway.dicom.part10 import split, wrap
from tests.doubles.acquired import dataset, kept, part10
from tests.doubles.spools import SpoolWorld

PREAMBLES = {
    "Windows program": b"MZ\x90\0" + bytes(124),
    "Linux program": b"\x7fELF" + bytes(124),
    "script": b"#!/bin/sh\n" + bytes(118),
    "web page": b"<html><script>alert(1)</script>".ljust(128, b" "),
    "": b"II*\0"
    + bytes(range(124)),  # TIFF, which the standard has in mind (PS3.10 §7.1): nothing to warn of
}


@pytest.mark.parametrize("kind", PREAMBLES)
async def test_attack_19_a_foreign_preamble_is_kept_for_custody_and_never_served(
    tmp_path: Path, kind: str
) -> None:
    polyglot = PREAMBLES[kind] + part10("1.2.3.4")[128:]
    assert (kind in split(polyglot).preamble) if kind else not split(polyglot).preamble
    world = SpoolWorld(tmp_path)
    app = stow_app(world.spool, world.clock, Stow(open=True), Ingest())
    async with TestClient(TestServer(app)) as client:
        headers = {"Content-Type": "application/dicom"}
        answer = await client.post("/studies", data=polyglot, headers=headers)
        assert answer.status == 200
    ((entry, data),) = kept(world)
    assert data == dataset("1.2.3.4"), "the dataset is what is kept and compared"
    assert bytes.fromhex(str(entry.parameters["preamble"])) == PREAMBLES[kind]
    served = wrap(entry.sop_class_uid, entry.sop_instance_uid, entry.transfer_syntax_uid) + data
    assert served[:132] == bytes(128) + b"DICM"
    world.spool.close()


def test_attack_19_files_of_a_disc_likewise_and_plain_ones_carry_no_remark(tmp_path: Path) -> None:
    world = SpoolWorld(tmp_path)
    visit = Visit(world.spool, world.clock, Source("disc", "medium"))
    take_file(visit, PREAMBLES["web page"] + part10("1.2.3.4")[128:])
    take_file(visit, part10("1.2.3.5"))
    (first, _), (second, _) = kept(world)
    assert bytes.fromhex(str(first.parameters["preamble"])) == PREAMBLES["web page"]
    assert "preamble" not in second.parameters
    world.spool.close()
