"""Many instances over one listener: memory and rate stay as they are.

``TELERAD_SOAK_INSTANCES=200000`` for the whole; a line is printed for each tenth.
"""

import os
import resource
import time
from pathlib import Path

from edge.config import Ingest
from gateway.dicom import transfer
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, listening

CT, LE = "1.2.840.10008.5.1.4.1.1.2", transfer.EXPLICIT_LITTLE
INSTANCES = int(os.environ.get("TELERAD_SOAK_INSTANCES", "300"))
PIXELS = int(os.environ.get("TELERAD_SOAK_BYTES", "20000"))


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_memory_stays_as_it_is(tmp_path):
    with listening(tmp_path, Ingest(open=True)) as world:
        sender = ExactSender(world.listener.port, [(CT, LE)])
        pixels, marks = os.urandom(PIXELS), []
        for tenth in range(10):
            began = time.monotonic()
            for number in range(INSTANCES // 10):
                instance = f"1.2.3.{tenth}.{number}"
                assert sender.send(CT, instance, LE, encode(sample(pixels, instance=instance))) == 0
            items = world.spool.to_pack(INSTANCES)
            assert len(items) == INSTANCES // 10
            for item in items:  # as if the packer had taken them, and the hub signed
                world.spool.view.confirmed(item.parcel_id)
                world.spool.merger.signed(item.parcel_id)
            world.spool.files.drop([item.parcel_id for item in items])
            world.spool._journal.forget([item.parcel_id for item in items])
            rate = INSTANCES / 10 / (time.monotonic() - began)
            marks.append(resident())
            print(f"{(tenth + 1) * INSTANCES // 10:8} instances  {rate:6.0f}/s  {marks[-1] >> 20} MB")
        sender.close()
        segments = list((world.spool.files.spool / "segments").glob("*.seg"))
        assert len(segments) <= 10
        assert marks[-1] - marks[1] < 64 << 20
