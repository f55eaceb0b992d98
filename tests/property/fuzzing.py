"""Fuzzes whatever reads bytes of strangers, led by coverage, and keeps the corpus.

``python -m tests.property.fuzzing header --seconds 60`` (needs ``pip install atheris``) starts from what is
kept in ``tests/vectors/fuzz``, keeps what reaches more, and what crashed, which it also prints.
`test_fuzz_corpus` replays all of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests/vectors/fuzz"
LONGEST, MOST = 1024, 250
"""Bytes of an input, and inputs of a target."""

SYNTAXES = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.70",
)
DEFAULTS = (None, "GB18030", "latin_1", "nonsense")


def association(data: bytes) -> None:
    """What follows the head of an A-ASSOCIATE-RQ."""
    from edge.ingest.acse import agree
    from edge.ingest.associate import Asked
    from gateway.errors import Malformed

    with suppress(Malformed):
        agree(Asked.read(data), frozenset(), deflated=False)


def messages(data: bytes) -> None:
    """The body of P-DATA-TF PDUs, each behind two bytes of its length."""
    from edge.ingest.dimse import Command, Messages
    from edge.ingest.pdu import pdvs
    from gateway.errors import Malformed

    class Kept:
        landing = None

        def __init__(self) -> None:
            self.began = self.ended = 0

        def begin(self, context: int, command: Command) -> Kept:
            assert Command.read(command.answer(0)).field & 0x8000
            self.began += 1
            return self

        def write(self, data: memoryview) -> None:
            assert self.began > self.ended

        def finish(self) -> None:
            self.ended += 1

        abandon = finish

    kept = Kept()
    read, at = Messages(kept), 0
    try:
        while at < len(data):
            length = int.from_bytes(data[at : at + 2], "big")
            body = memoryview(data)[at + 2 : at + 2 + length]
            source = BytesIO(body)
            for context, control, size in pdvs(len(body), source.read):
                fragment = source.read(size)
                (sink.write if (sink := read.begun(context, control)) else read.command)(fragment)
                read.ended(control)
            at += 2 + length
    except Malformed:
        pass
    read.close()
    assert kept.began == kept.ended


@cache
def known() -> bytes:
    """A dataset as many others begin."""
    from tests.doubles.datasets import encode, sample

    return encode(sample(b"p" * 8), SYNTAXES[1])


def header(data: bytes) -> None:
    """A dataset, behind a byte that chooses its transfer syntax."""
    from edge.quality.checks import judge
    from edge.quality.glimpse import glimpse
    from edge.quality.warning import Study
    from edge.verdict import WANTED
    from gateway.dicom.alike import Alike
    from gateway.dicom.attributes import read_attributes
    from gateway.dicom.header import read_header

    syntax, data = SYNTAXES[data[0] % len(SYNTAXES)] if data else SYNTAXES[0], data[1:]
    read_header(data, syntax).dataset.to_json_dict()
    truth = read_attributes(data, syntax, wanted=WANTED)
    assert all(isinstance(value, str) for value in truth[0].values())
    alike = Alike(WANTED, None)
    for one, of in (
        (known(), SYNTAXES[1]),
        (data, syntax),
        (data, syntax),
    ):  # it learns, and must not be misled
        told = alike.read(one, len(one), lambda offset, n, one=one: one[offset : offset + n], of)
    assert told == truth
    seen = glimpse(data, syntax)
    judge(Study("1.2", {"1.2.3": [seen, seen]}))


def file(data: bytes) -> None:
    """A file of a disc or folder."""
    from edge.acquire.files import like_dicom
    from gateway.dicom.attributes import read_attributes
    from gateway.dicom.part10 import split

    like_dicom(data[:132])
    parts = split(data)
    assert data.endswith(bytes(parts.dataset))
    read_attributes(parts.dataset, parts.transfer_syntax_uid)


def charset(data: bytes) -> None:
    """A value behind a byte of choices, and a declaration up to a zero byte."""
    from gateway.dicom.text import decode, terms

    choice, (declared, _, value) = (data[0] if data else 0), data[1:].partition(b"\0")
    found = decode(value, terms(declared), DEFAULTS[choice % 4], name=bool(choice & 4))
    found.text.encode("utf-8", "surrogatepass")
    assert isinstance(found.text, str)


def answer(data: bytes) -> None:
    """What a RIS answers to a report (MLLP and HL7)."""
    from edge.downlink.mllp import Deframer
    from edge.downlink.oru import read_answer
    from gateway.errors import Malformed

    with suppress(Malformed):
        for message in Deframer().feed(data):
            read_answer(message)


@cache
def announced() -> bytes:
    """A signed header as they are, some 3 kB, of which another is said briefly."""
    vectors = json.loads((ROOT / "tests/vectors/tge1/accepted.json").read_text())
    return b64decode(vectors["good"]["header"])


def brief(data: bytes) -> None:
    """A header said briefly, behind a byte of choices: a BRIEF's frame, what is in one, or a header to say."""
    import zstandard

    from gateway.errors import Malformed
    from gateway.model import ParcelId
    from gateway.wire.brief import LONGEST, Abridger, Restorer, bare, spelled_out
    from gateway.wire.messages import Announce, Brief

    first, second = ParcelId(f"{1:032x}"), ParcelId(f"{2:032x}")
    choice, data = (data[0] % 3 if data else 0), data[1:]
    abridger, restorer = Abridger(), Restorer()
    restorer.read(abridger.announce(first, announced(), brief=True))
    if choice == 2:
        said = abridger.announce(second, data or b"{}", brief=True)
        assert restorer.read(said) == Announce(second, data or b"{}")
        return
    if choice == 1:
        known = zstandard.ZstdCompressionDict(bare(announced()), dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        data = zstandard.ZstdCompressor(dict_data=known).compress(data)
    with suppress(Malformed):
        told = restorer.read(Brief(second, data))
        assert isinstance(told, Announce)
        assert len(told.header) <= LONGEST
        assert spelled_out(bare(told.header) or told.header) == told.header


def frames(data: bytes) -> None:
    """What comes over the line, behind a byte: how it is cut, and whether each frame's check is put right.

    A check is 32 bits of luck; where it is put right, a frame is its kind, two bytes of length and a payload.
    """
    from gateway.errors import Malformed
    from gateway.wire.frames import HEAD, Decoder, check, encode

    step, data = (data[0] if data else 0), data[1:]
    if step & 1:
        rest, data = data, b""
        while len(rest) >= 3:
            kind, length = rest[0], int.from_bytes(rest[1:3], "big")
            payload, rest = rest[3 : 3 + length], rest[3 + length :]
            data += HEAD.pack(len(payload), kind, check(kind, payload)) + payload
    read, size = Decoder(), (step >> 1) + 1
    with suppress(Malformed):
        for at in range(0, len(data), size):
            read.feed(data[at : at + size])
            while (message := read.next()) is not None:
                again = Decoder()
                again.feed(encode(message))
                assert again.next() == message
        read.finish()


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (association, messages, header, file, charset, answer, brief, frames)
}


def seeds(target: str) -> list[bytes]:
    """Good ones to start from."""
    from tests.doubles.datasets import encode, sample
    from tests.property.test_dimse_fuzz import ASKED, message

    if target == "association":
        return [ASKED[6:]]
    if target == "messages":
        pdu = message(0, encode(sample(b"p" * 40)), [10, 0])
        return [(len(pdu) - 6).to_bytes(2, "big") + pdu[6:]]
    if target == "header":
        return [bytes((n,)) + encode(sample(b"p" * 8), syntax) for n, syntax in enumerate(SYNTAXES[:4])]
    if target == "file":
        from tests.doubles.acquired import part10

        return [part10(), b"MZ" + part10()[2:], encode(sample(b"p" * 8))]
    if target == "answer":
        return [b"\x0bMSH|^~\\&|R|R|E|E|20250101||ACK|1|P|2.5\rMSA|AA|1|fine\r\x1c\r"]
    if target == "brief":
        return briefs()
    if target == "frames":
        vectors = json.loads((ROOT / "tests/vectors/wire/frames.json").read_text())
        good = [bytes.fromhex(one) for one in vectors["good"].values()]
        bad = [bytes.fromhex(one["hex"]) for one in vectors["bad"].values()]
        short = [one[4:5] + one[2:4] + one[9:] for one in good]
        return [
            *(b"\x28" + one for one in (*good, *bad)),
            *(b"\x0f" + one for one in short),
            b"\xff" + b"".join(short),
        ]
    values = [
        ("ISO_IR 192", "王^小东", "utf-8"),
        ("GB18030", "王^小东", "gb18030"),
        ("\\ISO 2022 IR 58", "王", "gb2312"),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", "ﾔﾏﾀﾞ^山田", "iso2022_jp_3"),
        ("\\ISO 2022 IR 149", "김^희중", "euc_kr"),
        ("", "Müller", "latin_1"),
        ("ISO_IR 144", "Люкceмбypг", "iso8859_5"),
    ]
    return [
        bytes((4,)) + told.encode() + b"\0" + text.encode(codec, "replace") for told, text, codec in values
    ]


def briefs() -> list[bytes]:
    """Of each kind that `brief` reads."""
    import zstandard

    from gateway.model import ParcelId
    from gateway.wire.brief import Abridger, bare
    from gateway.wire.messages import Brief

    abridger, parcel = Abridger(), ParcelId(f"{1:032x}")
    abridger.announce(parcel, announced(), brief=True)
    said = abridger.announce(parcel, announced(), brief=True)
    assert isinstance(said, Brief)
    inner = b'{"salt":"AAECAwQFBgcICQoLDA0ODw=="}'
    text = b'{"hex":"' + b"0f" * 12 + b'","payload":"' + b64encode(inner) + b'","site":"H1"}'
    twice = b'{"payload":"' + b64encode(b'{"payload":"' + b64encode(inner) + b'"}') + b'"}'
    unlike = b'{"hex":"' + b"0F" * 8 + b'","base64":"' + b"x" * 14 + b'B=="}'  # which stand for other text
    much = zstandard.compress(b"\1\1\xff\xf0" + bytes(0x1FFF0) + b"\1\0\0\x40" + bytes(64))
    return [
        b"\0" + said.packed,
        b"\0" + much,
        b"\1" + bare(text),
        *(b"\2" + one for one in (text, twice, unlike)),
    ]


def load(target: str) -> list[bytes]:
    """What is kept."""
    path = CORPUS / f"{target}.json"
    return [bytes.fromhex(one) for one in json.loads(path.read_text())] if path.exists() else []


def store(target: str, inputs: Iterable[bytes]) -> int:
    """Keep these. How many they are."""
    chosen = sorted({one for one in inputs if 0 < len(one) <= LONGEST}, key=lambda one: (len(one), one))
    CORPUS.mkdir(exist_ok=True)
    text = ",\n".join(json.dumps(one.hex()) for one in chosen[:MOST])
    (CORPUS / f"{target}.json").write_text(f"[\n{text}\n]\n")
    return min(len(chosen), MOST)


def _guided(target: str, options: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(
        include=["gateway.dicom", "gateway.wire", "edge", "pynetdicom.pdu", "pynetdicom.pdu_items"]
    ):
        for seed in [*seeds(target), *load(target)]:
            TARGETS[target](seed)
    atheris.Setup([sys.argv[0], *options], TARGETS[target])
    atheris.Fuzz()


def _run(target: str, *options: str) -> int:
    words = [sys.executable, "-m", "tests.property.fuzzing", target, "--libfuzzer", *options]
    return subprocess.run(words, cwd=ROOT, check=False).returncode


def grow(target: str, seconds: int) -> int:
    """Fuzz for so long, and keep what reaches most. Returns 1 if anything crashed."""
    with tempfile.TemporaryDirectory() as folder:
        found, crashes = Path(folder) / "found", Path(folder) / "crashes"
        found.mkdir()
        crashes.mkdir()
        for one in (*seeds(target), *load(target)):
            (found / sha256(one).hexdigest()).write_bytes(one)
        limits = [f"-max_len={LONGEST}", "-timeout=10", "-rss_limit_mb=2000"]
        code = _run(target, str(found), f"-max_total_time={seconds}", f"-artifact_prefix={crashes}/", *limits)
        crashed = [path.read_bytes() for path in sorted(crashes.iterdir())]
        count = store(target, [*(path.read_bytes() for path in found.iterdir()), *crashed])
        print(f"{target}: {count} inputs kept, {len(crashed)} crashed")
        for one in crashed:
            print(one.hex())
        return int(bool(crashed or code))


def main() -> int:
    """Returns 1 if anything crashed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--libfuzzer", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.libfuzzer is not None:
        _guided(told.target, told.libfuzzer)
    return grow(told.target, told.seconds)


if __name__ == "__main__":
    raise SystemExit(main())
