"""What came into a spool, as the hub would see it, for the ways in beside the listener."""

from __future__ import annotations

from typing import Any

from gateway.dicom.part10 import wrap
from gateway.envelope.inner import InstanceEntry, Notice
from tests.doubles.datasets import encode, sample
from tests.doubles.spools import SpoolWorld

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def part10(instance: str = "1.2.3.4", **options: Any) -> bytes:
    """A small CT image as a file."""
    return wrap(CT, instance, EXPLICIT) + dataset(instance, **options)


def dataset(instance: str = "1.2.3.4", **options: Any) -> bytes:
    """Its dataset bytes."""
    return encode(sample(instance=instance, **options))


def kept(world: SpoolWorld) -> list[tuple[InstanceEntry, bytes]]:
    """Every instance in the spool with its bytes, in the order they came; signs what is unsigned."""
    return [pair for entries, _ in _opened(world) for pair in entries]


def notices(world: SpoolWorld) -> list[Notice]:
    """Every notice in the spool."""
    return [notice for _, told in _opened(world) for notice in told]


def _opened(world: SpoolWorld) -> list[tuple[list[tuple[InstanceEntry, bytes]], list[Notice]]]:
    for item in world.spool.to_pack(1000):
        world.packer.seal(item)
    found = []
    parcels = sorted(world.spool.files.parcels(".head"), key=lambda pair: pair[1].st_mtime_ns)
    for parcel, _ in parcels:
        manifest, datasets = world.content(parcel)
        found.append((list(zip(manifest.instances, datasets, strict=True)), list(manifest.notices)))
    return found
