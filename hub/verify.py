"""``telerad verify``: checks reports, parcels, headers, receipts and custody records, offline, by content.

Exit code 0: everything holds; 1: something does not; 2: the question was wrong (no such file, no
root certificate, not a kind of file this program knows).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import stat
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gateway import config
from gateway.custody.bundle import BUNDLE_LIMIT, open_bundle
from gateway.custody.checkpoint import Checkpoint, NoteVerifier, open_checkpoint
from gateway.custody.evidence import EVIDENCE_LIMIT
from gateway.custody.evidence import START as EVIDENCE_START
from gateway.envelope import trailer
from gateway.envelope.judge import (
    header_at_its_time,
    judge_parcel,
    judge_statement,
    judge_together,
    receipt_at_its_time,
    refused,
)
from gateway.envelope.layout import HEADER_KIND, RECEIPT_KIND
from gateway.envelope.receipt import OpenedReceipt
from gateway.envelope.signature import STATEMENT_LIMIT
from gateway.envelope.unseal import OpenedHeader
from gateway.errors import DataError, UsageError
from gateway.trust import Trust, read_certificates, spki_pin
from gateway.verdict import Verdict
from hub.config import HubConfig
from hub.verify_custody import verify_evidence

CUSTODY = Path("custody")
"""The word that asks for the way of a study."""

ROOT_VARIABLE = "TELERAD_ROOT"
ROOT_NAMES = ("root.pem", "root.crt", "pki/root.pem")
HEAD_SUFFIX = ".head"
PDF_LIMIT = 256 << 20

EXAMPLES = f"""examples:
  telerad verify --root root.pem report.pdf
  telerad verify --root root.pem spool/*.tge spool/*.head receipts/*
  telerad verify --log-key 'hub.example+1234abcd+A…' bundle.json
  telerad verify custody evidence.json --root root.pem       the way of a study, as a timeline
  telerad verify custody 1.2.840.… --root root.pem -c hub.yaml   the same, on the hub, by the study's UID

The root certificate is taken from --root, else from the variable {ROOT_VARIABLE}, else from
{" or ".join(ROOT_NAMES)} in the file's folder or one above it; which one is then told with its
pin. It must have reached you another way than the file did: compare the pin."""


def fill(parser: argparse.ArgumentParser) -> None:
    """Check a report, parcel, header, receipt or checkpoint: who signed, when, was anything changed."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="what to check; its kind is found out"
    )
    parser.add_argument(
        "--root", type=Path, metavar="CERT", help="PEM file of the root certificates to trust"
    )
    parser.add_argument(
        "--log-key", metavar="VKEY", help="key of the custody log, for its bundles and checkpoints"
    )
    parser.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help="hub.yaml: verify custody takes study UIDs with it"
    )
    parser.add_argument("--json", action="store_true", help="one JSON array for scripts")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Check every file, then those that belong together. Returns the exit code."""
    judge = Judge(parsed.root, parsed.log_key)
    if parsed.files[0] == CUSTODY and not CUSTODY.exists():
        found = [(str(what), _custody(judge, what, parsed.config)) for what in parsed.files[1:]]
        if not found:
            raise UsageError(
                "telerad verify custody wants a file of evidence, or -c hub.yaml and a study UID"
            )
    else:
        found = [(str(file), judge.judge(file)) for file in parsed.files]
        found += [("together", verdict) for verdict in judge.together()]
    if parsed.json:
        print(json.dumps([_json(name, verdict) for name, verdict in found], indent=2, ensure_ascii=False))
    else:
        for name, verdict in found:
            print(f"{'good' if verdict.ok else 'BAD '}  {name}")
            for line in verdict.lines:
                print(f"      {line}")
    return 0 if all(verdict.ok for _, verdict in found) else 1


def _custody(judge: Judge, what: Path, settings: Path | None) -> Verdict:
    """The verdict on a file of evidence, or on a study of this machine's hub."""
    if what.exists() or settings is None:
        return judge.judge(what)
    from hub.custody_commands import gather

    evidence = asyncio.run(gather(config.load(settings, HubConfig), str(what), None))
    return verify_evidence(evidence.to_bytes(), judge.trust(settings))


def _json(name: str, verdict: Verdict) -> dict[str, object]:
    return {"file": name, "ok": verdict.ok, "lines": verdict.lines, "facts": dict(verdict.facts)}


def _log(state: Checkpoint) -> str:
    return f"Custody log {state.origin} with {state.size} entries, root {state.root.hex()}."


def _state(kind: str, state: Checkpoint) -> dict[str, object]:
    return {"kind": kind, "origin": state.origin, "size": state.size, "root": state.root.hex()}


class Judge:
    """Finds out what a file is and who may judge it; remembers records, to compare them at the end.

    Args:
        root: the root certificates' file, if one was named.
        log_key: the custody log's verifier key, if one was named.
    """

    def __init__(self, root: Path | None, log_key: str | None = None) -> None:
        self._root, self._log_key = root, log_key
        self._told: set[Path] = set()
        self._headers: list[OpenedHeader] = []
        self._receipts: list[OpenedReceipt] = []

    def judge(self, file: Path) -> Verdict:
        """The verdict on one file.

        Raises:
            UsageError: it cannot be read, is of no known kind, or there is no root certificate.
        """
        try:
            with file.open("rb") as opened:
                size = os.fstat(opened.fileno()).st_size

                def read(offset: int, count: int) -> bytes:
                    opened.seek(offset)
                    return opened.read(count)

                return self._by_content(file, read, size)
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}") from error

    def together(self) -> Sequence[Verdict]:
        """Verdicts on the headers and receipts judged so far, against each other."""
        return judge_together(self._headers, self._receipts)

    def _by_content(self, file: Path, read: Callable[[int, int], bytes], size: int) -> Verdict:
        start = read(0, 1024)
        if b"%PDF-" in start:
            return self._pdf(file, read(0, PDF_LIMIT))
        if start.startswith(b'{"chain":'):
            return self._statement(file, read(0, STATEMENT_LIMIT + 1))
        if read(max(size - len(trailer.MAGIC), 0), len(trailer.MAGIC)) == trailer.MAGIC:
            return self._parcel(file, read, size)
        if start.startswith(EVIDENCE_START):
            return verify_evidence(read(0, EVIDENCE_LIMIT + 1), self.trust(file))
        if start.startswith(b'{"checkpoint":'):
            return self._bundle(read(0, BUNDLE_LIMIT + 1))
        if b"\n\n\xe2\x80\x94 " in start:
            return self._checkpoint(start)
        raise UsageError(
            f"{file} is no PDF, signed record, finished parcel, evidence, custody bundle or checkpoint"
        )

    def _pdf(self, file: Path, pdf: bytes) -> Verdict:
        from hub.reports.verify import verify_pdf

        return verify_pdf(pdf, self.trust(file), datetime.now(UTC))

    def _statement(self, file: Path, signed: bytes) -> Verdict:
        trust = self.trust(file)
        verdict = judge_statement(signed, trust)
        if verdict.ok and verdict.facts["kind"] == HEADER_KIND:
            self._headers.append(header_at_its_time(signed, trust))
        if verdict.ok and verdict.facts["kind"] == RECEIPT_KIND:
            self._receipts.append(receipt_at_its_time(signed, trust))
        return verdict

    def _parcel(self, file: Path, read: Callable[[int, int], bytes], size: int) -> Verdict:
        head = file.with_suffix(HEAD_SUFFIX)
        signed = head.read_bytes() if head.exists() else None
        return judge_parcel(read, size, signed, self.trust(file) if signed else None)

    def _checkpoint(self, note: bytes) -> Verdict:
        verifier = self._log_verifier()
        try:
            state = open_checkpoint(note, [verifier])
        except DataError as error:
            return refused("checkpoint", error)
        return Verdict(ok=True, lines=[_log(state)], facts=_state("checkpoint", state))

    def _bundle(self, data: bytes) -> Verdict:
        verifier = self._log_verifier()
        try:
            state, entries = open_bundle(data, [verifier])
        except DataError as error:
            return refused("custody-bundle", error)
        lines = [f"{len(entries)} entries of the custody log, each proven to be in it.", _log(state)]
        lines += [f"{one['position']}: {one['at']} {one['event']} {one['site']}".rstrip() for one in entries]
        return Verdict(ok=True, lines=lines, facts=_state("custody-bundle", state) | {"entries": entries})

    def _log_verifier(self) -> NoteVerifier:
        if self._log_key is None:
            raise UsageError(
                "this is judged by the custody log's key (telerad hub custody key): give it with --log-key"
            )
        try:
            return NoteVerifier.parse(self._log_key)
        except DataError as error:
            raise UsageError(f"--log-key: {error}") from error

    def trust(self, file: Path) -> Trust:
        """The roots to judge `file` by. Raises UsageError: there are none."""
        variable = os.environ.get(ROOT_VARIABLE)
        named = self._root or (Path(variable) if variable else None)
        root = named or self._near(file)
        try:
            roots = read_certificates(root)
        except OSError as error:
            raise UsageError(f"the root certificate {root} cannot be read: {error.strerror}") from error
        except DataError as error:
            raise UsageError(str(error)) from error
        if named is None and root not in self._told:
            self._told.add(root)
            pins = " ".join(spki_pin(one) for one in roots)
            print(f"telerad: judged by {root}, pin {pins}; is it yours?", file=sys.stderr)
        return Trust(roots)

    def _near(self, file: Path) -> Path:
        """A root certificate in the file's folder or one above it, short of folders anybody may write to."""
        for folder in file.resolve().parents:
            if folder.stat().st_mode & stat.S_IWOTH:
                break
            for name in ROOT_NAMES:
                if (folder / name).is_file():
                    return folder / name
        raise UsageError(
            f"there is no root certificate to judge {file} by: name one with --root CERT or the variable"
            f" {ROOT_VARIABLE}, or put {ROOT_NAMES[0]} beside it."
        )
