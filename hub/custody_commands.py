"""``telerad hub custody``: audit the log, tell its key, prove what it says about a thing."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, select

from certs.authority import Authority
from gateway import config, durable, keyfile
from gateway.clock import SystemClock, rfc3339
from gateway.custody.bundle import write_bundle
from gateway.custody.checkpoint import NoteSigner
from gateway.custody.commitment import person_digest
from gateway.custody.evidence import Evidence
from gateway.database import Database, open_database
from gateway.envelope.kem import FILE_SUFFIX, KemKeys
from gateway.errors import Refused, UsageError
from hub import rows_accounts, rows_cases, rows_fleet, standing
from hub.archive.store import BlobStore
from hub.config import HubConfig
from hub.custody import CustodyLog, log_name
from hub.evidence import EvidenceRoom
from hub.identity import load_receipt_signer
from hub.persons import erase
from hub.record import USER, operator, subject_of
from hub.rows import compare
from hub.rows_images import Images
from hub.rows_told import Told
from hub.rows_trail import TrailSeals
from hub.sealed import SealedLog
from hub.seals import Seals
from hub.tables import VERSION, metadata
from hub.tables.account import users
from hub.tables.custody import subject_salts
from hub.tables.study import studies
from hub.trail import AuditTrail

EXAMPLES = """examples:
  telerad hub custody audit -c hub.yaml
  telerad hub custody key -c hub.yaml
  telerad hub custody compare -c hub.yaml 281 3fa9c0…
  telerad hub custody vouch -c hub.yaml
  telerad hub custody erase-person -c hub.yaml --name chen
  telerad hub custody prove -c hub.yaml --subject 9f86d081… -o bundle.json
  telerad hub custody study -c hub.yaml 1.2.840.… -o evidence.json
  telerad verify custody evidence.json --root root.pem
  telerad verify --log-key "$(telerad hub custody key -c hub.yaml)" bundle.json
"""

Actions = Any  # argparse keeps the type of sub-parsers to itself
Deeper = Callable[[argparse.Namespace, CustodyLog, Database], Awaitable[int]]
Work = Callable[[argparse.Namespace, CustodyLog], Awaitable[int]]


def fill(actions: Actions) -> None:
    """The custody log."""
    form, summary = argparse.RawDescriptionHelpFormatter, "the custody log: audit it, prove what it says"
    parser = actions.add_parser(
        "custody", help=summary, description=summary, epilog=EXAMPLES, formatter_class=form
    )
    group = parser.add_subparsers(metavar="ACTION", required=True)
    summary = "compare every entry and signed root of the log, and the rows of the database with it"
    audit = _command(group, "audit", summary)
    audit.add_argument("--json", action="store_true", help="answer as JSON")
    audit.set_defaults(run=lambda parsed: asyncio.run(_with_log(parsed, _audit)))
    key = _command(group, "key", "print the key that checkpoints are verified by (C2SP vkey)")
    key.set_defaults(run=_key)
    prove = _command(group, "prove", "write every entry about a subject, with proofs, for telerad verify")
    prove.add_argument("--subject", required=True, help="digest or identifier, as the log names it")
    prove.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="a new file")
    prove.set_defaults(run=lambda parsed: asyncio.run(_with_log(parsed, _prove)))
    printed = _command(
        group, "compare", "compare the log with a state that was printed on a report, or noted"
    )
    printed.add_argument("entries", type=int, help="how many it had")
    printed.add_argument("root", help="its root, in hexadecimal")
    printed.set_defaults(run=lambda parsed: asyncio.run(_with_log(parsed, _compare)))
    erase = _command(group, "erase", "erase the salt by which a study's entries can be led back to it")
    erase.add_argument("study", metavar="STUDY", help="its Study Instance UID")
    erase.add_argument("--site", help="whose study, where two sites have one of this UID")
    erase.set_defaults(run=lambda parsed: asyncio.run(_with_database(parsed, _erase)))
    person = _command(group, "erase-person", "erase the salt by which entries can be led back to a person")
    person.add_argument("--name", required=True, help="login of an account that is barred")
    person.set_defaults(run=lambda parsed: asyncio.run(_with_database(parsed, _erase_person)))
    vouch = _command(group, "vouch", "take accounts, sessions and log as they are now, having looked at them")
    vouch.set_defaults(run=lambda parsed: asyncio.run(_with_database(parsed, _vouch)))
    study = _command(group, "study", "write the evidence of a study's way, for telerad verify custody")
    study.add_argument("study", metavar="STUDY", help="its Study Instance UID")
    study.add_argument("--site", help="whose study, where two sites have one of this UID")
    study.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="a new file")
    study.set_defaults(run=lambda parsed: asyncio.run(_study(parsed)))


def _command(group: Actions, name: str, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = group.add_parser(name, help=summary, description=summary)
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="hub.yaml")
    return parser


def _signer(settings: HubConfig) -> NoteSigner:
    file = settings.data / "keys" / "checkpoint.key"
    if not file.exists():
        raise UsageError(f"{file} is not there: this hub has not run yet")
    key = keyfile.load(file)
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{file} holds no Ed25519 key")
    return NoteSigner(log_name(settings.name), key)


def _key(parsed: argparse.Namespace) -> int:
    print(_signer(config.load(parsed.config, HubConfig)).verifier)
    return 0


async def _with_log(parsed: argparse.Namespace, work: Work) -> int:
    return await _with_database(parsed, lambda given, log, _: work(given, log))


async def _with_database(parsed: argparse.Namespace, work: Deeper) -> int:
    settings = config.load(parsed.config, HubConfig)
    signer = _signer(settings)
    database = await open_database(settings.database_url, metadata, version=VERSION)
    try:
        seals = Seals.load(settings.data)
        return await work(parsed, CustodyLog(database, signer, SystemClock(), seals), database)
    finally:
        await database.close()


async def _erase(parsed: argparse.Namespace, log: CustodyLog, database: Database) -> int:
    query = select(studies.c.id, studies.c.site).where(studies.c.study_uid == parsed.study)
    async with database.writing() as connection:
        rows = (await connection.execute(query)).all()
        rows = [row for row in rows if parsed.site in (None, row.site)]
        if len(rows) != 1:
            print(f"{len(rows)} studies have this UID here" + ("; name the site" if rows else ""))
            return 1
        subject = subject_of("study", rows[0].id)
        await connection.execute(delete(subject_salts).where(subject_salts.c.subject == subject))
        await log.append(connection, "salt-erased", site=rows[0].site, subject=subject)
    print("the study's salt is erased: nobody can lead its entries of the log back to it any more")
    return 0


async def _erase_person(parsed: argparse.Namespace, log: CustodyLog, database: Database) -> int:
    seals = Seals.load(config.load(parsed.config, HubConfig).data)
    async with database.writing() as connection:
        row = (await connection.execute(select(users.c.disabled).where(users.c.name == parsed.name))).first()
        if row is not None and not row.disabled:
            print(f"{parsed.name} may log in; bar the account first (telerad hub user disable)")
            return 1
        salt = await erase(connection, USER, parsed.name)
        if salt is None:
            print(f"the log knows nobody by the login {parsed.name}, or not any more")
            return 1
        detail = {"person": person_digest(salt, USER, parsed.name), "by": operator()}
        subject = person_digest(salt, standing.KIND, parsed.name)
        await log.append(connection, standing.ERASED, subject=subject, detail=detail)
        if row is not None:
            await standing.Standing(log, seals).enter(connection, parsed.name)
    print("the salt is erased: nobody can lead this person's entries of the log back to them any more")
    return 0


async def _vouch(parsed: argparse.Namespace, log: CustodyLog, database: Database) -> int:
    """After the loss of ``keys/access.key``, or once an edited account was put right by hand."""
    seals = Seals.load(config.load(parsed.config, HubConfig).data)
    async with database.writing() as connection:
        odd = len(await standing.faults(connection))
        await log.begin_seals(connection, operator())
        taken = await standing.Standing(log, seals).vouch(connection, rfc3339(SystemClock().now()))
    print(f"{taken} accounts are taken as they are; {odd} things did not fit. Your name is in the log")
    return 0


async def _study(parsed: argparse.Namespace) -> int:
    if parsed.output.exists():
        raise UsageError(f"{parsed.output} exists already")
    evidence = await gather(config.load(parsed.config, HubConfig), parsed.study, parsed.site)
    await asyncio.to_thread(durable.create, parsed.output, evidence.to_bytes(), mode=0o600)
    images, parcels = len(evidence.study.instances), len(evidence.parcels)
    print(f"{images} images in {parcels} parcels, {len(evidence.reports)} reports: {parsed.output}")
    return 0


async def gather(settings: HubConfig, study_uid: str, site: str | None) -> Evidence:
    """The evidence of a study, by this machine's own keys and database.

    Raises:
        UsageError: the hub has not run yet, or a key cannot be read.
        NotFound: there is no such study.
        Refused: more than one site has it, or a parcel of it has no receipt yet.
    """
    keys = settings.data / "keys"
    signer, clock = _signer(settings), SystemClock()
    hub = load_receipt_signer(settings)
    database = await open_database(settings.database_url, metadata, version=VERSION)
    try:
        log = CustodyLog(database, signer, clock)
        store = BlobStore(settings.data / "archive")
        root = Authority.open(settings.pki, clock).trust
        room = EvidenceRoom(database, store, log, KemKeys.load(keys), signer.verifier, hub, root, clock)
        return await room.study(study_uid, site)
    finally:
        await database.close()


async def _audit(parsed: argparse.Namespace, log: CustodyLog) -> int:
    entries = await log.audit()
    settings = config.load(parsed.config, HubConfig)
    trust = (
        None
        if not (settings.pki / "root.pem").exists()
        else Authority.open(settings.pki, SystemClock()).trust
    )
    database = await open_database(settings.database_url, metadata, version=VERSION)
    try:
        seals, clock = Seals.load(settings.data), SystemClock()
        faults = await SealedLog(database, seals).look()
        faults += await compare(database, trust) + await rows_accounts.look(database, seals, clock)
        async with database.reading() as connection:
            before = await standing.cases_before(connection)
        faults += await rows_cases.look(database, before, clock.now()) + await rows_fleet.look(database)
        faults += await TrailSeals(
            database, log, seals, clock, Told(database, log, AuditTrail(database, clock), clock)
        ).compare()
        faults += await Images(database, BlobStore(settings.data / "archive"), _kem(settings)).look()
    finally:
        await database.close()
    if parsed.json:
        print(json.dumps({"entries": entries, "whole": True, "rows": faults}))
        return 1 if faults else 0
    print(f"{entries} entries, none missing, none changed since it was signed")
    for fault in faults:
        print(f"EDITED {fault}")
    print(
        f"{len(faults)} things do not fit the log"
        if faults
        else "what was stored, signed and let in fits them, and so do accounts and sessions"
    )
    return 1 if faults else 0


def _kem(settings: HubConfig) -> KemKeys:
    keys = settings.data / "keys"
    return KemKeys.load(keys) if any(keys.glob(f"*{FILE_SUFFIX}")) else KemKeys({})


async def _compare(parsed: argparse.Namespace, log: CustodyLog) -> int:
    try:
        root = await log.root_at(parsed.entries)
    except Refused as error:
        print(f"the log is not the one that was printed: {error}")
        return 1
    if root != "".join(parsed.root.split()).lower():
        print(f"the log is not the one that was printed: its first {parsed.entries} entries have root {root}")
        return 1
    print(f"the first {parsed.entries} entries are those that were printed")
    return 0


async def _prove(parsed: argparse.Namespace, log: CustodyLog) -> int:
    if parsed.output.exists():
        raise UsageError(f"{parsed.output} exists already")
    proven = await log.prove_newest(parsed.subject)
    if proven is None:
        print(f"the log says nothing about {parsed.subject}")
        return 1
    note, entries = proven
    durable.create(parsed.output, write_bundle(note, entries), mode=0o644)
    print(f"{len(entries)} entries written to {parsed.output}")
    return 0
