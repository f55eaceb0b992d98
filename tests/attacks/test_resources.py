"""Attacks that live off the resources of whoever reads: rows 5 and 25 of the threat model."""

from __future__ import annotations

import ast
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from gateway.codec import decoder
from gateway.errors import DataError, Malformed

ROOT = Path(__file__).parents[2]
GIB = 1 << 30


def _zeros(size: int, **options: object) -> bytes:
    """A frame of zeros, made piece by piece."""
    frame = zstandard.ZstdCompressor(level=3, **options).compressobj()  # type: ignore[arg-type]  # its own options
    piece = bytes(1 << 20)
    parts = [frame.compress(piece) for _ in range(size // len(piece))]
    return b"".join([*parts, frame.flush()])


def test_attack_05_a_zstd_bomb_costs_no_memory() -> None:
    bomb = _zeros(GIB)
    assert len(bomb) < 200 << 10
    written = 0

    def sink(data: bytes) -> None:
        nonlocal written
        written += len(data)

    tracemalloc.start()
    with pytest.raises(Malformed):
        opened = decoder("zstd", sink, 1 << 20, {})
        opened.write(bomb)
        opened.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert written <= 1 << 20
    assert peak < 16 << 20


@pytest.mark.parametrize("kind", ["forged content size", "wide window", "concatenated"])
def test_attack_05_forged_frames_are_refused(kind: str) -> None:
    data = bytes(range(256)) * 64
    if kind == "forged content size":
        good = zstandard.ZstdCompressor(level=3).compress(data)
        told = (len(data) - 256).to_bytes(2, "little")  # RFC 8878 §3.1.1.1.4
        frame = good.replace(told, (200).to_bytes(2, "little"), 1)
        assert frame != good
    elif kind == "wide window":
        wide = zstandard.ZstdCompressionParameters.from_level(1, window_log=27, write_content_size=0)
        writer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
        frame = writer.compress(data) + writer.flush()
    else:
        frame = zstandard.compress(data[:100]) + zstandard.compress(data[100:])
    with pytest.raises(DataError):
        opened = decoder("zstd", lambda _: None, len(data), {})
        opened.write(frame)
        opened.finish()


def test_attack_25_nothing_reads_xml() -> None:
    """No parser, no entity: what cannot be read cannot be expanded. Audit messages are written, never read."""
    readers = ("xml.dom", "xml.sax", "lxml", "pyexpat", "xmltodict", "bs4")
    parsing = {
        "parse",
        "iterparse",
        "fromstring",
        "fromstringlist",
        "XML",
        "XMLID",
        "XMLParser",
        "XMLPullParser",
    }
    guilty = []
    for package in ("gateway", "edge", "hub", "certs"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text())
            names = set(_imported(tree))
            guilty += [f"{path}: {name}" for name in names if name.startswith(readers)]
            if any(name.startswith("xml.") for name in names):
                used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
                guilty += [
                    f"{path}: {name}" for name in parsing & (used | {n.rpartition(".")[2] for n in names})
                ]
    assert guilty == []


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
