"""Make segmented.json anew: ``python -m tests.vectors.codec.make``. Only when FORMAT.md changes.

Other versions of the libraries give other bytes; what was published stays valid.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import imagecodecs

from gateway.codec.segment import HEADER_SIZE, Kind, Segment, Strip
from gateway.codec.way import parse
from gateway.dicom import transfer
from tests.doubles.images import Image, code, encapsulated

FILE = Path(__file__).with_name("segmented.json")
BASELINE = "1.2.840.10008.1.2.4.50"

SMALL = Image(rows=32, columns=40, noise=2, high=600)
IMAGES = {
    "unsigned-16": SMALL,
    "signed-16": replace(SMALL, signed=True, low=-500),
    "unsigned-8": replace(SMALL, allocated=8, high=255, rows=64),
    "whole-16": replace(SMALL, high=65535),
    "rgb": replace(SMALL, allocated=8, samples=3, high=255, photometric="RGB"),
    "rgb-planes": replace(SMALL, allocated=8, samples=3, high=255, photometric="RGB", planar=1),
    "big-endian": replace(SMALL, syntax=transfer.EXPLICIT_BIG, low=300),
    "padded": replace(SMALL, padding=b"\0\0\0", trailing=b"after"),
    "bits-32": replace(SMALL, allocated=32, high=1 << 20),
}
WAYS = ("jxl-1", "jxl-3", "htj2k", "jpegls")


def text(data: bytes) -> str:
    return b64encode(data).decode()


def accepted() -> dict[str, dict[str, str]]:
    vectors = {}
    for name, image in IMAGES.items():
        for way in WAYS:
            if image.allocated == 32 and way != "htj2k":
                continue
            coded = code(image.dataset, image.syntax, way)
            vectors[f"{way}-{name}"] = {
                "codec": parse(way).codec,
                "plain": text(image.dataset),
                "coded": text(coded),
            }
    picture = Image(rows=64, columns=80, allocated=8, high=255).words[0, :, :, 0]
    file = bytes(imagecodecs.jpeg8_encode(picture, level=85))
    data = encapsulated(file, file[:99], syntax_head=Image(allocated=8).head[:-12])
    coded = code(data, BASELINE, "jpeg-jxl")
    vectors["jpeg"] = {"codec": "jpeg-jxl", "plain": text(data), "coded": text(coded)}
    data = in_fragments()
    coded = code(data, BASELINE, "jpeg-jxl")
    vectors["jpeg-in-fragments"] = {"codec": "jpeg-jxl", "plain": text(data), "coded": text(coded)}
    vectors["nothing"] = {"codec": "jxl", "plain": "", "coded": ""}
    return vectors


def in_fragments() -> bytes:
    """One JPEG in three fragments, and one in one, each large enough to shrink."""
    picture = Image(rows=64, columns=80, allocated=8, samples=3, high=255).words[0]
    file = bytes(imagecodecs.jpeg8_encode(picture, level=90))
    return encapsulated(
        file[:301], file[301:], b"", file + b"\0", syntax_head=Image(allocated=8, samples=3).head[:-12]
    )


def refused() -> dict[str, dict[str, str | int]]:
    image = IMAGES["unsigned-16"]
    whole, length = code(image.dataset, image.syntax, "htj2k"), len(image.dataset)
    head = Segment.from_bytes(whole[:HEADER_SIZE])
    at = HEADER_SIZE + head.coded
    before, body = whole[:at], Segment.from_bytes(whole[at : at + HEADER_SIZE])
    content = whole[at + HEADER_SIZE :]
    strip, stream = Strip.from_bytes(content[:13]), content[13:]

    def pixels(content: bytes, plain: int = body.plain, kind: int = Kind.PIXELS) -> bytes:
        return before + bytes([kind]) + plain.to_bytes(4, "big") + len(content).to_bytes(4, "big") + content

    def with_strip(**changes: int) -> bytes:
        return pixels(replace(strip, **changes).to_bytes() + stream)

    moved = bytearray(stream)
    moved[16] = 1  # the image's offset within its grid
    data = in_fragments()
    jpegs = code(data, BASELINE, "jpeg-jxl")
    table = jpegs.index(b"\0\0\0\3\0\0\1\x2d")
    cases = {
        "no such kind": ("htj2k", pixels(content, kind=4)),
        "a segment of nothing": ("htj2k", before + bytes([0]) + bytes(8)),
        "more than 16 MiB": ("htj2k", pixels(content, plain=(16 << 20) + 1)),
        "coded longer than plain": ("htj2k", pixels(content + bytes(body.plain))),
        "other rows": ("htj2k", with_strip(rows=strip.columns, columns=strip.rows)),
        "other size": ("htj2k", with_strip(rows=strip.rows + 1)),
        "other samples": ("htj2k", with_strip(coded_width=1)),
        "wider than a word": ("htj2k", pixels(content[:8] + b"\x40" + content[9:])),
        "reserved bit": ("htj2k", pixels(content[:8] + bytes([content[8] | 0x80]) + content[9:])),
        "planes of one sample": ("htj2k", pixels(content[:8] + bytes([content[8] | 0x10]) + content[9:])),
        "offset wider than a word": ("htj2k", with_strip(offset=1 << 16)),
        "another codec's name": ("jpegls", whole),
        "pixels among JPEG files": ("jpeg-jxl", whole),
        "image offset": ("htj2k", pixels(content[:13] + bytes(moved))),
        "cut short": ("htj2k", whole[:-1]),
        "longer than declared": ("htj2k", whole + before),
        "shorter than declared": ("htj2k", before),
    }
    lengths = {"fragments that do not add up": len(data), "more fragments than bytes": len(data)}
    cases |= {
        "fragments that do not add up": ("jpeg-jxl", jpegs[: table + 7] + b"\x2e" + jpegs[table + 8 :]),
        "more fragments than bytes": ("jpeg-jxl", jpegs[:table] + b"\xff" + jpegs[table + 1 :]),
    }
    return {
        name: {"codec": codec, "length": lengths.get(name, length), "coded": text(coded)}
        for name, (codec, coded) in cases.items()
    }


def main() -> None:
    vectors = {"accepted": accepted(), "refused": refused()}
    FILE.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
