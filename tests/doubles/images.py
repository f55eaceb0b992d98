"""Images of any pixel format as dataset bytes, and a whole way through a codec."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from resource import RUSAGE_SELF, getrusage
from struct import pack

import numpy as np

from gateway.codec import Way, coder, decoder, plan
from gateway.codec.segment import HEADER_SIZE, Kind, Segment
from gateway.codec.way import parse
from gateway.dicom import transfer


@dataclass(frozen=True)
class Image:
    """One image; the pixel bytes are made to fit, and `padding` comes after them inside the value."""

    rows: int = 64
    columns: int = 48
    frames: int = 1
    samples: int = 1
    allocated: int = 16
    signed: bool = False
    planar: int = 0
    photometric: str = "MONOCHROME2"
    syntax: str = transfer.EXPLICIT_LITTLE
    low: int = 0
    high: int = 4095
    noise: float = 8.0
    padding: bytes = b""
    trailing: bytes = b""
    seed: int = 1

    @property
    def big(self) -> bool:
        return self.syntax == transfer.EXPLICIT_BIG

    @property
    def words(self) -> np.ndarray:
        """Smooth with noise, as pictures are; some words outside of the range, as padding values are."""
        random = np.random.default_rng(self.seed)
        shape = (self.frames, self.rows, self.columns, self.samples)
        x = np.linspace(0, 3, self.columns)[None, None, :, None]
        y = np.linspace(0, 2, self.rows)[None, :, None, None]
        wave = (np.sin(x + y + np.arange(self.frames)[:, None, None, None]) + 1) / 2
        values = self.low + wave * (self.high - self.low) + random.normal(0, self.noise, shape)
        values = np.clip(np.rint(values), self.low, self.high).astype("i8")
        if self.planar:
            values = values.transpose(0, 3, 1, 2)
        order = ">" if self.big else "<"
        return np.ascontiguousarray(values.astype(f"{order}u{self.allocated // 8}"))

    @property
    def pixels(self) -> bytes:
        if self.allocated == 1:
            return np.packbits(self._bits(), bitorder="little").tobytes()
        return self.words.tobytes()

    def _bits(self) -> np.ndarray:
        random = np.random.default_rng(self.seed)
        return random.integers(0, 2, self.frames * self.rows * self.columns, dtype="u1")

    @property
    def head(self) -> bytes:
        """All before the value of pixel data."""
        value = len(self.pixels) + len(self.padding)
        elements = [
            (0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.2\0"),
            (0x00080060, b"CS", b"CT"),
            (0x00280002, b"US", self._short(self.samples)),
            (0x00280004, b"CS", self.photometric.encode().ljust(-(-len(self.photometric) // 2) * 2)),
            (0x00280006, b"US", self._short(self.planar)),
            (0x00280008, b"IS", str(self.frames).encode().ljust(6)),
            (0x00280010, b"US", self._short(self.rows)),
            (0x00280011, b"US", self._short(self.columns)),
            (0x00280100, b"US", self._short(self.allocated)),
            (0x00280103, b"US", self._short(int(self.signed))),
        ]
        head = b"".join(self._element(tag, vr, data) for tag, vr, data in elements)
        return head + self._element(0x7FE00010, b"OB" if self.allocated == 8 else b"OW", b"", value)

    @property
    def dataset(self) -> bytes:
        return self.head + self.pixels + self.padding + self.trailing

    def _short(self, number: int) -> bytes:
        return pack(">H" if self.big else "<H", number)

    def _element(self, tag: int, vr: bytes, data: bytes, length: int | None = None) -> bytes:
        order, length = ">" if self.big else "<", len(data) if length is None else length
        group = pack(order + "HH", tag >> 16, tag & 0xFFFF)
        if self.syntax == transfer.IMPLICIT_LITTLE:
            return group + pack("<L", length) + data
        if vr in (b"OB", b"OW"):
            return group + vr + bytes(2) + pack(order + "L", length) + data
        return group + vr + pack(order + "H", length) + data


def encapsulated(
    *fragments: bytes, syntax_head: bytes = b"", closed: bool = True, offsets: bytes = b""
) -> bytes:
    """Pixel data of fragments (PS3.5 A.4), after `syntax_head`; each fragment as it is, odd or not."""
    items = [offsets, *fragments]
    data = b"".join(pack("<HHL", 0xFFFE, 0xE000, len(item)) + item for item in items)
    start = syntax_head + pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    return start + data + (pack("<HHL", 0xFFFE, 0xE0DD, 0) if closed else b"")


def reader(data: bytes):
    return lambda offset, n: data[offset : offset + n]


def code(data: bytes, syntax: str, way: Way | str, step: int = 1 << 16) -> bytes:
    """The coded bytes, written in pieces of `step`."""
    coded: list[bytes] = []
    writer = coder(way, lambda piece: coded.append(bytes(piece)), plan(reader(data), syntax))
    for at in range(0, len(data), step):
        writer.write(memoryview(data)[at : at + step])
    assert writer.finish() == {}
    return b"".join(coded)


def restore(coded: bytes, length: int, codec: str, step: int = 1 << 16) -> bytes:
    """The original bytes; raises what the decoder raises."""
    plain: list[bytes] = []
    back = decoder(codec, lambda piece: plain.append(bytes(piece)), length, {})
    for at in range(0, len(coded), step):
        back.write(memoryview(coded)[at : at + step])
    back.finish()
    return b"".join(plain)


def kinds(coded: bytes) -> list[Kind]:
    """Of its segments."""
    found, at = [], 0
    while at < len(coded):
        segment = Segment.from_bytes(coded[at : at + HEADER_SIZE])
        found.append(segment.kind)
        at += HEADER_SIZE + segment.coded
    assert at == len(coded)
    return found


def flood(way: str, megabytes: int) -> None:
    """Stream one multi-frame object through coder and decoder; print the ratio and the MB of memory it took."""
    frame = Image(rows=512, columns=512).pixels
    count = megabytes * 1_000_000 // len(frame)
    head = Image(rows=512, columns=512).head[:-4] + pack("<L", count * len(frame))
    length = len(head) + count * len(frame)
    sent = 0

    def through(piece) -> None:
        nonlocal sent
        sent += len(piece)
        back.write(piece)

    for number in (1, count):  # one frame first: what the libraries take once is not counted
        size = len(head) + number * len(frame)
        back, sent = decoder(parse(way).codec, len, size, {}), 0
        found = replace(plan(reader(head + frame), transfer.EXPLICIT_LITTLE), end=size)
        writer = coder(way, through, found)
        before = getrusage(RUSAGE_SELF).ru_maxrss
        writer.write(head)
        for _ in range(number):
            writer.write(frame)
        writer.finish()
        back.finish()
    print(length / sent, (getrusage(RUSAGE_SELF).ru_maxrss - before) / 1000)


def storm() -> None:
    """Noise of every depth through the fast codecs, there and back; print "calm"."""
    random = np.random.default_rng(7)
    for bits, samples, rows in itertools.product(range(7, 17), (1, 3), (100, 256)):
        image = Image(
            rows=rows, columns=256, samples=samples, photometric="RGB" if samples == 3 else "MONOCHROME2"
        )
        noise = random.integers(0, 1 << bits, rows * 256 * samples).astype("<u2").tobytes()
        data = image.head + noise
        for way in ("jxl-1", "htj2k", "jpegls"):
            coded = code(data, image.syntax, way)
            if restore(coded, len(data), parse(way).codec) != data:
                raise AssertionError(f"{way} at {bits} bits")
    print("calm")
