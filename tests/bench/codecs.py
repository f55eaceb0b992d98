"""How small and how fast every codec is here: ``python -m tests.bench.codecs [FOLDER…] [--ways …] [--repeat N]``.

One thread. Whole datasets pass through, headers and all; "code" contains decoding to compare, as the edge does
it. Ways are taken in turn, round by round, and medians are shown, since such machines are noisy. The last table
says what would be chosen for each line, and how much of a second of it one second carries: original bytes
over what the line carries raw.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from gateway.codec import WAYS, Plan, Way, decoder, plan
from gateway.codec.choose import choose
from gateway.codec.chooser import code
from gateway.codec.way import parse
from gateway.dicom.part10 import split
from tests.doubles.datasets import shared_data
from tests.doubles.images import Image, reader

SETS = ("ct-series-philips-head", "mr-series-ge-brain", "mr-many-slices-ge-fmri")
DEFAULT_WAYS = "zstd-1,zstd-3,jxl-1,htj2k,jxl-2,jpegls,jxl-3,zstd-9,jxl-5,zstd-19,jxl-7"
LINES = (0.256, 2, 10, 20, 50, 100, 300, 1000, 10_000)
MBIT = 1e6 / 8

Instance = tuple[bytes, Plan]


def load(folder: Path, most: int) -> list[Instance]:
    """Up to `most` instances of a folder, spread over it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    instances = []
    for file in files[:: max(1, len(files) // most)][:most]:
        part = split(file.read_bytes())
        data = bytes(part.dataset)
        instances.append((data, plan(reader(data), part.transfer_syntax_uid)))
    return instances


def made() -> list[Instance]:
    """Where no data is at hand: slices made here."""
    images = [Image(rows=512, columns=512, high=2000, noise=6, seed=seed) for seed in range(8)]
    return [(image.dataset, plan(reader(image.dataset), image.syntax)) for image in images]


def once(way: Way, instances: Sequence[Instance]) -> tuple[int, float, float]:
    """Coded bytes, and seconds to code and to decode."""
    coded: list[list[bytes]] = []
    start = time.perf_counter()
    for data, found in instances:
        pieces: list[bytes] = []
        code(data, way, found, lambda piece, pieces=pieces: pieces.append(bytes(piece)))
        coded.append(pieces)
    middle = time.perf_counter()
    for (data, _), pieces in zip(instances, coded, strict=True):
        back = decoder(way.codec, len, len(data), {})
        for piece in pieces:
            back.write(piece)
        back.finish()
    end = time.perf_counter()
    return sum(len(piece) for pieces in coded for piece in pieces), middle - start, end - middle


def bench(name: str, instances: Sequence[Instance], ways: Sequence[Way], repeat: int) -> None:
    """Print both tables of one set."""
    size = sum(len(data) for data, _ in instances)
    fitting = [way for way in ways if any(found.fits(way) for _, found in instances)]
    runs = [[once(way, instances) for way in fitting] for _ in range(repeat)]
    print(f"\n{name}: {len(instances)} instances, {size / 1e6:.1f} MB")
    print(f"{'way':10} {'ratio':>6} {'code MB/s':>10} {'decode MB/s':>12}")
    figures: dict[Way, tuple[float, float]] = {}
    for way, column in zip(fitting, zip(*runs, strict=True), strict=True):
        ratio = size / column[0][0]
        coding, decoding = (statistics.median(run[at] for run in column) for at in (1, 2))
        figures[way] = ratio, size / coding
        print(f"{way.name:10} {ratio:6.2f} {size / 1e6 / coding:10.0f} {size / 1e6 / decoding:12.0f}")
    print(f"{'Mbit/s':>9} {'1 core':>10} {'effective':>10} {'4 cores':>10} {'effective':>10}")
    for line in LINES:
        row = f"{line:9g}"
        for cores in (1, 4):
            choice = choose(
                list(figures),
                size=size // len(instances),
                waiting=100 * size,
                link=line * MBIT,
                cores=cores,
                speed=lambda way: figures[way][1],
                ratio=lambda way: figures[way][0],
            )
            raw = next(each for each in choice.estimates if each.way.codec == "raw")
            row += f" {choice.way.name:>10} {raw.ends / choice.best.ends:9.0%} "
        print(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--ways", default=DEFAULT_WAYS, help=f"default {DEFAULT_WAYS}")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--most", type=int, default=20, help="instances of each folder (default 20)")
    options = parser.parse_args()
    ways = [parse(name) for name in options.ways.split(",")]
    shared = shared_data()
    folders = options.folders or ([shared / name for name in SETS] if shared else [])
    for folder in folders:
        bench(folder.name, load(folder, options.most), ways, options.repeat)
    if not folders:
        bench("made here", made(), ways, options.repeat)
    print(f"\n{len(WAYS)} ways are known: {', '.join(way.name for way in WAYS)}")


if __name__ == "__main__":
    main()
