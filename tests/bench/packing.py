"""What packing makes of series on lines of every kind: ``python -m tests.bench.packing [FOLDER…] [--rates …]``.

Every file is received into a spool as the listener does it, then packed as the packer does it while the line is
slower than the CPU and while it is not, then opened with the hub's code and compared. "wire" is all that the line
carries: bodies and signed headers. The last column is how much of a second of the raw line one second carries.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections import Counter
from pathlib import Path

from edge.pack import Packer
from gateway.dicom.part10 import split
from gateway.log import configure
from tests.doubles.datasets import shared_data
from tests.doubles.images import Image
from tests.doubles.spools import SITE, SpoolWorld

SETS = ("ct-series-philips-head", "mr-series-ge-brain", "mr-many-slices-ge-fmri")
RATES = (0.384, 2, 20, 100, 1000)
MBIT = 1e6 / 8

Instance = tuple[bytes, str, str, int]
"""Dataset, transfer syntax, modality, number."""


def load(folder: Path, most: int) -> list[Instance]:
    """The files of a folder, in the order of their names."""
    found = []
    for number, file in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())[:most]):
        part = split(file.read_bytes())
        found.append((bytes(part.dataset), part.transfer_syntax_uid, folder.name[:2].upper(), number))
    return found


def made() -> list[Instance]:
    """Where no data is at hand: slices made here."""
    images = [Image(rows=512, columns=512, high=2000, noise=6, seed=seed) for seed in range(16)]
    return [(image.dataset, image.syntax, "CT", number) for number, image in enumerate(images)]


def pack(name: str, instances: list[Instance], rate: float, cores: float | None) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        world = SpoolWorld(Path(folder) / "data")
        free = (lambda: cores) if cores else None
        packer = Packer(world.spool, SITE, lambda: world.device, world.clock, lambda: rate, free)
        for data, syntax, modality, number in instances:
            world.receive(data, number=number, syntax=syntax, modality=modality)
        began, spent = time.perf_counter(), time.process_time()
        first, parcels, ways = 0.0, [], Counter[str]()
        while found := packer._look():
            packer.begin(found[0])
            packer._row += not found[0].lead  # parcels grow, as more waits
            one = packer.gather(found[0])
            packer.seal(one.item)
            ways.update(one.ways or {"raw": one.item.instances})
            parcels.append(one.item)
            first = first or time.perf_counter() - began
        took, spent = time.perf_counter() - began, time.process_time() - spent
        wire = sum(one.sealed_size + len(world.spool.header(one.parcel_id)) for one in parcels)
        lead = parcels[0].sealed_size + len(world.spool.header(parcels[0].parcel_id))
        back = Counter(
            hashlib.sha256(data).digest() for one in parcels for data in world.content(one.parcel_id)[1]
        )
        world.spool.close()
    if back != Counter(hashlib.sha256(data).digest() for data, *_ in instances):
        raise SystemExit(f"{name}: other bytes came back")
    plain = sum(len(data) for data, *_ in instances)
    ends = max(took, wire / rate)
    return (
        f"{name[:24]:24} {rate / MBIT:8.3g} {plain / wire:6.2f} {plain / took / 1e6:7.1f} "
        f"{plain / spent / 1e6:7.1f} {len(parcels):7} {first + lead / rate:7.2f} {plain / rate / ends:6.2f}  "
        + ", ".join(f"{way} {count}" for way, count in ways.most_common())
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--rates", default=",".join(map(str, RATES)), help="Mbit/s")
    parser.add_argument("--cores", type=float, help="idle cores; measured if not given")
    parser.add_argument("--most", type=int, default=1000, help="files of each folder")
    arguments = parser.parse_args()
    configure(level="error")
    shared = shared_data()
    folders = arguments.folders or ([shared / name for name in SETS] if shared else [])
    sets = {folder.name: load(folder, arguments.most) for folder in folders} or {"made": made()}
    print(
        f"{'set':24} {'Mbit/s':>8} {'ratio':>6} {'MB/s':>7} {'per CPU':>7} {'parcels':>7} {'1st, s':>7} "
        f"{'effect':>6}  ways"
    )
    for name, instances in sets.items():
        for rate in map(float, arguments.rates.split(",")):
            print(pack(name, instances, rate * MBIT, arguments.cores), flush=True)


if __name__ == "__main__":
    main()
