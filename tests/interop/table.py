"""What becomes of each file that is sent: file → DICOM status → what happened.

``python -m tests.interop.table`` prints it for datasets made here (`made_files`) and, if the folder of real
files is beside the checkout, for every one of those; ``--made`` for the made ones alone, as in
``docs/answers.md``; ``--real`` for the real ones alone, those of a folder that had the same outcome in one
row, as in ``docs/answers-real.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import sys
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataset import Dataset

from edge.config import Ingest
from gateway.conformance.document import Section, Statement, Table
from gateway.dicom import transfer
from gateway.dicom.attributes import read_attributes
from gateway.dicom.part10 import split
from tests.doubles.datasets import encode, sample, shared_data, shared_files
from tests.doubles.listeners import ExactSender, ListeningWorld, listening

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PRIVATE_CLASS, PRIVATE_SYNTAX = "1.2.826.0.1.3680043.9.7391.4.1", "1.2.826.0.1.3680043.9.7391.1.2.99"
AT_ONCE = 40


@dataclass(frozen=True)
class Sent:
    """One C-STORE, as it is put on the line."""

    name: str
    sop_class: str
    instance: str
    syntax: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Of the dataset."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What became of it. `status` is None if the presentation context was not accepted."""

    sent: Sent
    status: int | None
    happened: str


def of_file(path: Path, number: int) -> Sent | None:
    """A real file; None if it holds no dataset."""
    data = path.read_bytes()
    parts = split(gzip.decompress(data) if path.suffix == ".gz" else data)
    content = bytes(parts.dataset)
    if not content:
        return None
    found, _ = read_attributes(content, parts.transfer_syntax_uid)
    sop_class = found.get("SOPClassUID") or parts.sop_class_uid or SECONDARY_CAPTURE
    instance = found.get("SOPInstanceUID") or parts.sop_instance_uid or f"2.25.{number + 1}"
    folder = shared_data()
    name = str(path.relative_to(folder)) if folder else path.name
    return Sent(name, sop_class, instance, parts.transfer_syntax_uid, content)


def real_files() -> Iterator[Sent]:
    """Every file of the shared folder that holds a dataset."""
    for number, path in enumerate(shared_files()):
        if (one := of_file(path, number)) is not None:
            yield one


def without_dataset() -> list[str]:
    """Names of the files of the shared folder that hold nothing that could be sent."""
    folder = shared_data()
    files = list(enumerate(shared_files()))
    return [str(path.relative_to(folder)) for n, path in files if of_file(path, n) is None] if folder else []


def made_files() -> Iterator[Sent]:
    """Good ones in every plain syntax, and each way of being broken."""
    little = transfer.EXPLICIT_LITTLE
    count = iter(range(1, 1000))

    def sent(
        name: str,
        change: Dataset | None = None,
        *,
        syntax: str = little,
        cut: int = 0,
        sop_class: str = CT,
        uid: str = "",
        encoded_as: str = "",
    ) -> Sent:
        instance = f"1.2.3.{next(count)}"
        made = sample(instance=instance)
        for element in change or ():
            if element.value in (None, ""):
                del made[element.tag]
            else:
                made[element.tag] = element
        data = encode(made, encoded_as or syntax)
        return Sent(name, sop_class, uid or instance, syntax, data[: len(data) - cut])

    def changed(**values: str) -> Dataset:
        made = Dataset()
        for keyword, value in values.items():
            setattr(made, keyword, value)
        return made

    yield sent("explicit little endian")
    yield sent("implicit little endian", syntax=transfer.IMPLICIT_LITTLE)
    yield sent("explicit big endian", syntax=transfer.EXPLICIT_BIG)
    yield sent("deflated", syntax=transfer.DEFLATED_LITTLE)
    yield sent("private SOP class", changed(SOPClassUID=PRIVATE_CLASS), sop_class=PRIVATE_CLASS)
    yield sent("private transfer syntax", syntax=PRIVATE_SYNTAX, encoded_as=little)
    yield sent("another syntax than was negotiated", syntax=little, encoded_as=transfer.IMPLICIT_LITTLE)
    plain = sent("declares no character set", changed(PatientName="Sample^Plain"))
    charset = encode(changed(SpecificCharacterSet="ISO_IR 192"))
    yield replace(plain, data=plain.data.replace(charset, b""))
    unknown = sent("declares an unknown character set", changed(PatientName="Sample^Plain"))
    yield replace(unknown, data=unknown.data.replace(b"ISO_IR 192", b"ISO_IR 999"))
    yield sent("pixel data cut off", cut=100)
    yield sent("cut off before the study", cut=len(encode(sample())) - 120)
    yield sent("no Study Instance UID", changed(StudyInstanceUID=""))
    yield sent("no Series Instance UID", changed(SeriesInstanceUID=""))
    yield sent("no SOP Class UID", changed(SOPClassUID=""))
    yield sent("no SOP Instance UID", changed(SOPInstanceUID=""))
    yield sent("of another SOP class", sop_class=MR)
    yield sent("of another SOP instance", uid="1.2.3.999")
    good = encode(sample(instance="1.2.3.900"))
    yield Sent("a dataset that is no deflate stream", CT, "1.2.3.901", transfer.DEFLATED_LITTLE, good)
    bomb = zlib.compressobj(wbits=-15)
    unfolded = bomb.compress(b"\0" * (80 << 20)) + bomb.flush()
    yield Sent("a deflate bomb", CT, "1.2.3.902", transfer.DEFLATED_LITTLE, unfolded)
    yield Sent("a text file", CT, "1.2.3.903", little, b"this is no DICOM dataset, and never was one\n" * 9)
    yield Sent("nothing but zeros", CT, "1.2.3.904", little, bytes(512))


def send(world: ListeningWorld, wanted: Iterable[Sent]) -> list[Answer]:
    """Send all, some to an association, and see what the spool holds afterwards."""
    everything, statuses = list(wanted), []
    for start in range(0, len(everything), AT_ONCE):
        group = everything[start : start + AT_ONCE]
        sender = ExactSender(world.listener.port, [(one.sop_class, one.syntax) for one in group])
        statuses += [sender.send(one.sop_class, one.instance, one.syntax, one.data) for one in group]
        sender.release()
    kept = {entry.sha256: (entry, data) for entry, data in world.instances()}
    return [
        Answer(one, status, _happened(one, status, kept))
        for one, status in zip(everything, statuses, strict=True)
    ]


def _happened(one: Sent, status: int | None, kept: dict) -> str:
    if status is None:
        return "not accepted in negotiation; the sender still has it"
    if one.sha256 not in kept:
        return "refused, nothing kept; the sender still has it"
    entry, data = kept[one.sha256]
    if data != one.data:
        return "KEPT AS OTHER BYTES"
    flaw = entry.parameters.get("flaw")
    return f"kept byte for byte, with its flaw: {flaw}" if flaw else "kept byte for byte"


def table(answers: Iterable[Answer], title: str) -> Table:
    """As it is printed."""
    rows = [
        (one.sent.name, "none" if one.status is None else f"0x{one.status:04X}", one.happened)
        for one in answers
    ]
    return Table.of(("file", "status", "what happened"), rows, title)


def made_table() -> Table:
    """Of the made datasets."""
    with tempfile.TemporaryDirectory() as folder, listening(Path(folder), config()) as world:
        return table(send(world, made_files()), "Made datasets")


def real_table() -> Table:
    """Of the real files, and of those that hold nothing to send."""
    with tempfile.TemporaryDirectory() as folder, listening(Path(folder), config()) as world:
        return with_empty(table(send(world, real_files()), "Real files"))


def with_empty(found: Table) -> Table:
    """With a row for each real file that holds no dataset."""
    empty = tuple((name, "none", "holds no dataset: nothing to send") for name in without_dataset())
    return replace(found, rows=(*found.rows, *empty))


def by_outcome(found: Table) -> Table:
    """One row for all files of a folder that had the same status and outcome; every file is named."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for path, status, happened in found.rows:
        folder, _, name = path.rpartition("/")
        groups[folder, status, happened].append(name)
    rows = [(*key, len(names), ", ".join(names)) for key, names in sorted(groups.items())]
    return Table.of(("folder", "status", "what happened", "how many", "files"), rows, found.title)


def config() -> Ingest:
    """Of the edge that they are sent to: it takes all that one can be set up to take."""
    return Ingest(open=True, accept_deflated=True)


ONE_ANSWER = (
    "Every C-STORE has one answer and one outcome; 0x0000 is given only for what is durable on the edge."
)
MADE = "Printed by `python -m tests.interop.table --made`; of real files: [answers-real.md](answers-real.md)."
REAL = (
    "Printed by `python -m tests.interop.table --real` of a folder of public test files, which is not part of "
    "this repository; those in `odd` are broken or unusual on purpose. Of datasets made to be broken in one "
    "way each: [answers.md](answers.md)."
)


def page(tables: Iterable[Table], words: str = MADE) -> str:
    """Markdown, as ``docs/answers.md`` or, with the words `REAL`, ``docs/answers-real.md``."""
    section = Section("File, status, outcome", (f"{ONE_ANSWER} {words}",), tuple(tables))
    return Statement("What becomes of each file that is sent", (section,)).as_markdown().rstrip() + "\n"


def main(words: list[str] | None = None) -> int:
    """Print the table. Returns 1 if anything was kept as other bytes than were sent."""
    parser = argparse.ArgumentParser(description="File, DICOM status, what happened.")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--made", action="store_true", help="only datasets made here")
    only.add_argument(
        "--real", action="store_true", help="only real files, one row for each outcome of a folder"
    )
    parsed = parser.parse_args(words)
    there = shared_data() is not None
    if parsed.real and not there:
        parser.error("the folder of real files is not beside the checkout")
    with contextlib.redirect_stdout(sys.stderr):  # the log
        tables = [] if parsed.real else [made_table()]
        if there and not parsed.made:
            tables.append(real_table())
    print(page(map(by_outcome, tables), REAL) if parsed.real else page(tables), end="")
    return int(any("OTHER BYTES" in row[2] for one in tables for row in one.rows))


if __name__ == "__main__":
    raise SystemExit(main())
