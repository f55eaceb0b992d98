"""Write frames.json anew from the code. Run by hand when the protocol changes; tests only read it."""

from __future__ import annotations

import json
import struct
import sys
import zlib
from importlib import util
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2]))


def frame(kind: int, payload: bytes) -> bytes:
    check = zlib.crc32(struct.pack(">IB", len(payload), kind) + payload)
    return struct.pack(">IBI", len(payload), kind, check) + payload


def main() -> None:
    from gateway.wire.frames import encode

    (HERE / "frames.json").write_text('{"good": {}, "bad": {}}') if not (
        HERE / "frames.json"
    ).exists() else None
    spec = util.spec_from_file_location("m", HERE.parents[1] / "unit/gateway/wire/test_messages.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    parcel = bytes.fromhex(module.PARCEL)
    bad = {
        "check": (encode(module.MESSAGES["ask"])[:-1] + b"\x00", "damaged"),
        "unknown-kind": (frame(0x20, b""), "unknown kind"),
        "too-long": (struct.pack(">IBI", 17, 0x03, 0), "claims 17 bytes"),
        "cut": (encode(module.MESSAGES["have-some"])[:-3], "inside a frame"),
        "ask-too-short": (frame(0x03, parcel[:8]), "without a parcel"),
        "have-overlap": (frame(0x42, parcel + struct.pack(">IIIII", 9, 0, 3, 2, 1)), "range 2"),
        "have-beyond": (frame(0x42, parcel + struct.pack(">III", 9, 8, 2)), "range 8"),
        "have-half-range": (frame(0x42, parcel + struct.pack(">II", 9, 8)), "cannot be read"),
        "refused-not-utf8": (frame(0x44, parcel + b"\x00\x01\xff"), "cannot be read"),
        "later-zero": (frame(0x45, parcel + struct.pack(">I", 0)), "pause of 0"),
    }
    document = {
        "good": {name: encode(message).hex() for name, message in module.MESSAGES.items()},
        "bad": {name: {"hex": data.hex(), "fails": words} for name, (data, words) in bad.items()},
    }
    (HERE / "frames.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
