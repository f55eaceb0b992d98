"""A second reader of the segmented codecs, written from FORMAT.md alone. Plain, in memory, for small vectors."""

from __future__ import annotations

import imagecodecs
import numpy as np
import zstandard


class Refused(Exception):
    """Other than FORMAT.md says."""


def demand(holds: bool, what: str) -> None:
    if not holds:
        raise Refused(what)


def read_segments(coded: bytes, codec: str, length: int, shared: bytes = b"") -> bytes:
    demand(codec in ("jxl", "htj2k", "jpegls", "jpeg-jxl", "segments"), "codec")
    out = b""
    while coded:
        demand(len(coded) >= 9, "segment header")
        kind, plain, size = coded[0], int.from_bytes(coded[1:5], "big"), int.from_bytes(coded[5:9], "big")
        content, coded = coded[9 : 9 + size], coded[9 + size :]
        demand(len(content) == size, "content")
        demand(1 <= plain <= 16777216, "plain")
        demand({0: size == plain, 4: size == 4}.get(kind, 0 < size < plain), "coded")
        if kind == 0:
            out += content
        elif kind == 1:
            out += unzstd(content, plain)
        elif kind == 4:
            offset = int.from_bytes(content, "big")
            demand(offset + plain <= len(shared), "shared")
            out += shared[offset : offset + plain]
        elif kind == 2:
            demand(codec in ("jxl", "htj2k", "jpegls"), "kind")
            out += read_pixels(content, codec, plain)
        else:
            demand(kind in (3, 6) and codec == "jpeg-jxl", "kind")
            part = read_jpeg(content, plain) if kind == 3 else read_items(content, plain)
            demand(len(part) == plain, "plain")
            out += part
        demand(len(out) <= length, "longer")
    demand(len(out) == length, "shorter")
    return out


def read_pixels(content: bytes, codec: str, plain: int) -> bytes:
    rows, columns = int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big")
    form, offset, stream = content[8], int.from_bytes(content[9:13], "big"), content[13:]
    demand(form & 0x80 == 0 and form & 3 < 3 and form >> 5 <= form & 3, "form")
    w, v, s = 1 << (form & 3), 1 << (form >> 5), 3 if form & 8 else 1
    demand(not form & 16 or s == 3, "planes")
    demand(rows * columns * s * w == plain, "plain")
    demand(offset < 1 << 8 * w, "offset")
    if codec == "htj2k":
        demand(stream[16:24] == bytes(8), "image offset")
    try:
        image = getattr(imagecodecs, {"jxl": "jpegxl"}.get(codec, codec) + "_decode")(
            stream, **({"planar": False} if codec == "htj2k" else {})
        )
    except (RuntimeError, ValueError) as error:
        raise Refused(str(error)) from error
    demand(image.shape == ((rows, columns) if s == 1 else (rows, columns, s)), "shape")
    demand(image.dtype == np.dtype(f"u{v}"), "samples")
    if form & 16:
        image = image.transpose(2, 0, 1)
    words = (image.astype("u8") + offset) % (1 << 8 * w)
    return words.astype(f"{'>' if form & 4 else '<'}u{w}").tobytes()


def read_jpeg(content: bytes, plain: int) -> bytes:
    try:
        return bytes(imagecodecs.jpegxl_decode_jpeg(content, numthreads=1))
    except (RuntimeError, ValueError) as error:
        raise Refused(str(error)) from error


def read_items(content: bytes, plain: int) -> bytes:
    count, table = int.from_bytes(content[:4], "big"), content[4:]
    demand(0 < count <= 100_000 and 8 * count < plain and 4 * count <= len(table), "items")
    lengths = [int.from_bytes(table[4 * n : 4 * n + 4], "big") for n in range(count)]
    demand(8 * count + sum(lengths) == plain, "lengths")
    file, out = read_jpeg(table[4 * count :], plain - 8 * count), b""
    demand(len(file) == sum(lengths), "plain")
    for length in lengths:
        out += b"\xfe\xff\x00\xe0" + length.to_bytes(4, "little") + file[:length]
        file = file[length:]
    return out


def unzstd(frame: bytes, length: int) -> bytes:
    unpacker = zstandard.ZstdDecompressor(max_window_size=8 << 20)
    stream, data = unpacker.stream_reader(frame, read_across_frames=False), b""
    while len(data) <= length and (piece := stream.read(1 << 16)):
        data += piece
    demand(len(data) == length, "length after zstd")
    rest = unpacker.decompressobj()
    demand(rest.decompress(frame) == data and rest.eof and not rest.unused_data, "one whole zstd frame")
    return data
