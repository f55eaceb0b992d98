"""The report's two objects sent to dcmtk's storescp."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path

import pydicom
import pytest

from edge.downlink.deliver_dicom import DicomDelivery
from gateway.errors import Refused, Unavailable, UsageError
from tests.doubles.delivery import verified


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def listening(port: int) -> None:
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise AssertionError("storescp did not start")


async def test_storescp_takes_both_objects(tmp_path: Path) -> None:
    if shutil.which("storescp") is None:
        pytest.skip("dcmtk is not installed")
    port = free_port()
    command = ["storescp", "-aet", "PACS", "-od", str(tmp_path), "+xe", str(port)]
    scp = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await listening(port)
        found = await verified()
        told = await DicomDelivery("pacs", "127.0.0.1", port, "PACS", "TELERAD").deliver(found)
    finally:
        scp.terminate()
        await scp.wait()
    assert told == "Basic Text SR stored (0x0000); Encapsulated PDF stored (0x0000)"
    received = [pydicom.dcmread(file) for file in tmp_path.iterdir()]
    by_uid = {str(one.SOPInstanceUID): one for one in received}
    assert set(by_uid) == {found.structured.sop_instance_uid, found.enveloped.sop_instance_uid}
    envelope = by_uid[found.enveloped.sop_instance_uid]
    assert envelope.EncapsulatedDocument[: envelope.EncapsulatedDocumentLength] == found.pdf
    structured = by_uid[found.structured.sop_instance_uid]
    assert str(structured.PatientName) == "Zhang^XiaoDong=张^小东"


# pynetdicom leaves the socket of a refused connection to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_pacs_that_is_away_or_refuses() -> None:
    from pynetdicom import AE, evt

    found = await verified()
    with pytest.raises(Unavailable, match="cannot be reached"):
        await DicomDelivery("pacs", "127.0.0.1", free_port(), "PACS", "TELERAD").deliver(found)
    entity, statuses = AE("PACS"), {"answer": 0xA700}
    for uid in (found.structured.sop_class_uid, found.enveloped.sop_class_uid):
        entity.add_supported_context(uid)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: statuses["answer"])]
    )
    try:
        pacs = DicomDelivery("pacs", "127.0.0.1", server.server_address[1], "PACS", "TELERAD")
        with pytest.raises(Unavailable, match="0xA700"):
            await pacs.deliver(found)
        statuses["answer"] = 0xC123
        with pytest.raises(Refused, match="0xC123"):
            await pacs.deliver(found)
        statuses["answer"] = 0xB000
        assert "stored (0xB000)" in await pacs.deliver(found)
    finally:
        server.shutdown()


async def test_a_name_nobody_knows_is_tried_again_and_a_wrong_title_is_told_at_start() -> None:
    pacs = DicomDelivery("pacs", "no-such-host.invalid", 104, "PACS", "TELERAD")
    with pytest.raises(Unavailable, match="PACS at no-such-host"):
        await pacs.deliver(await verified())
    for title in ("", " ", "X" * 17, "检查", "a\\b", "a\n"):
        with pytest.raises(UsageError):
            DicomDelivery("pacs", "localhost", 104, title, "TELERAD")


async def test_a_pacs_that_takes_pdf_alone_or_nothing() -> None:
    from pynetdicom import AE, evt

    found = await verified()
    for uid, words in (
        (found.enveloped.sop_class_uid, "Basic Text SR is not accepted; Encapsulated PDF stored"),
        ("1.2.840.10008.5.1.4.1.1.2", None),
    ):
        entity = AE("PACS")
        entity.add_supported_context(uid)
        server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: 0x0000)]
        )
        pacs = DicomDelivery("pacs", "127.0.0.1", server.server_address[1], "PACS", "TELERAD")
        try:
            if words is None:
                with pytest.raises((Refused, Unavailable), match=r"accepts neither|cannot be reached"):
                    await pacs.deliver(found)
            else:
                assert words in await pacs.deliver(found)
        finally:
            server.shutdown()
