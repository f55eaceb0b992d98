"""What the configuration says of a sender goes with each of its images, sent by C-STORE, to the hub."""

import time

import pytest

from edge.config import Ingest, Sender
from gateway.dicom import transfer
from gateway.model import Priority
from tests.doubles.datasets import encode, sample
from tests.doubles.listeners import ExactSender, listening, until

CT = "1.2.840.10008.5.1.4.1.1.2"
LE = transfer.EXPLICIT_LITTLE
EAST = Sender("CT1", None, "urgent", "GB18030", "Asia/Shanghai", "East Clinic")
WEST = Sender("CT2", None, institution="West Clinic")
TOLD = {"charset": "GB18030", "time_zone": "Asia/Shanghai", "institution": "East Clinic"}
NAMES = frozenset(TOLD)

pytestmark = pytest.mark.usefixtures("both_ways")


def store(world, calling, data, number=1):
    """The status of one image."""
    sender = ExactSender(world.listener.port, [(CT, LE)], calling=calling)
    status = sender.send(CT, f"1.2.3.{number}", LE, data)
    sender.release()
    return status


def sealed(world):
    """Of every image in sealed parcels: the parcel's priority, its entry, its bytes; by calling AE title."""
    time.sleep(0.05)  # acceptors have told of it, but are not heard yet
    found = {}
    for parcel in world.seal_all():
        manifest, datasets = world.content(parcel)
        for entry, data in zip(manifest.instances, datasets, strict=True):
            found[entry.calling_ae] = (world.opened(parcel).header.priority, entry, data)
    return found


def told(entry):
    """What stands beside an image of its sender's settings."""
    return {name: value for name, value in entry.parameters.items() if name in NAMES}


def test_each_image_goes_with_the_settings_of_its_own_sender(tmp_path):
    images = {
        name: encode(sample(instance=f"1.2.3.{number}", study=f"1.2.{number}"))
        for number, name in enumerate(("CT1", "CT2", "CT3"))
    }
    with listening(tmp_path, Ingest(open=True, senders=(EAST, WEST))) as world:
        assert [store(world, name, images[name], number) for number, name in enumerate(images)] == [0] * 3
        until(lambda: len(world.closed) == 3)
        found = sealed(world)
    assert {name: told(entry) for name, (_, entry, _) in found.items()} == {
        "CT1": TOLD,
        "CT2": {"institution": "West Clinic"},
        "CT3": {},  # nobody knows it
    }
    assert {name: priority for name, (priority, _, _) in found.items()} == {
        "CT1": Priority.URGENT,
        "CT2": Priority.ROUTINE,
        "CT3": Priority.ROUTINE,
    }
    assert {name: data for name, (_, _, data) in found.items()} == images  # what is said is said beside them


def test_a_flaw_stands_beside_the_settings_and_hides_none(tmp_path):
    with listening(tmp_path, Ingest(senders=(EAST,))) as world:
        assert store(world, "CT1", encode(sample(instance="1.2.3.1"))[:-100]) == 0xB007
        until(lambda: world.closed)
        _, entry, _ = sealed(world)["CT1"]
    assert told(entry) == TOLD
    assert "pixel data claims" in entry.parameters["flaw"]
