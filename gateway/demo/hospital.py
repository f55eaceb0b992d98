"""The hospital's other computers, as small true doubles: a PACS that stores, a RIS that takes ORU.

They speak DICOM C-STORE and HL7 v2 over MLLP and keep what they receive in a folder.
"""

from __future__ import annotations

import socketserver
import threading
from io import BufferedReader
from pathlib import Path
from typing import cast

from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    BasicTextSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    Verification,
)

from gateway import durable

START, END = b"\x0b", b"\x1c\x0d"
"""MLLP block markers, HL7 v2.5.1 appendix C.4.3."""

MAX_MESSAGE = 64 << 20


class Pacs:
    """Stores reports: SR and encapsulated PDF."""

    def __init__(self, host: str, port: int, folder: Path) -> None:
        durable.make_folder(folder)
        self._folder = folder
        entity = AE(ae_title="PACS")
        for sop_class in (
            BasicTextSRStorage,
            EnhancedSRStorage,
            ComprehensiveSRStorage,
            EncapsulatedPDFStorage,
            Verification,
        ):
            entity.add_supported_context(sop_class)
        self._server = entity.start_server(
            (host, port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def _store(self, event: evt.Event) -> int:
        name = str(event.request.AffectedSOPInstanceUID)
        durable.replace(self._folder / f"{name}.dcm", event.encoded_dataset())
        return 0x0000

    def stop(self) -> None:
        """Close the listener."""
        self._server.shutdown()


class Ris:
    """Takes every message and answers AA (application accept)."""

    def __init__(self, host: str, port: int, folder: Path) -> None:
        durable.make_folder(folder)

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while message := _read_block(cast("BufferedReader", self.rfile)):
                    control_id = message.split(b"\r", 1)[0].split(b"|")[9]
                    durable.replace(folder / f"{control_id.decode('ascii', 'replace')[:64]}.hl7", message)
                    self.wfile.write(START + _accept(control_id) + END)

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self._server = socketserver.ThreadingTCPServer((host, port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True, name="ris").start()

    def stop(self) -> None:
        """Close the listener."""
        self._server.shutdown()
        self._server.server_close()


def _read_block(stream: BufferedReader) -> bytes:
    """One MLLP block without its markers; empty at the end of the connection."""
    block = bytearray()
    while not block.endswith(END):
        part = stream.read1(65536)  # a sender waits for the answer, so a block never runs into the next
        block += part
        if not part or len(block) > MAX_MESSAGE:
            return b""
    return bytes(block).removeprefix(START).removesuffix(END)


def _accept(control_id: bytes) -> bytes:
    head = b"MSH|^~\\&|RIS|HOSPITAL|EDGE|HOSPITAL|||ACK^R01|" + control_id + b"|P|2.5.1"
    return head + b"\rMSA|AA|" + control_id + b"\r"
