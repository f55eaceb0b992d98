"""The command line, as an administrator types it, on a real authority and a real database."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from certs.authority import Authority, Issuer
from gateway import cli, keyfile
from gateway.clock import SystemClock
from gateway.database import open_database, sqlite_url
from gateway.errors import NotAllowed
from gateway.trust import Purpose
from hub.access.access import Access
from hub.access.passwords import Passwords
from hub.access.signing import SigningKey
from hub.access.vault import Vault
from hub.custody import CustodyLog
from hub.seals import Seals
from hub.standing import faults
from hub.tables import VERSION, metadata
from hub.tables.audit import audit_events
from hub.tables.custody import custody
from hub.trail import AuditTrail
from tests.doubles.clock import SetClock
from tests.doubles.people import CHEAP
from tests.doubles.studies import Studies

PASSWORD = "a good long password"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Authority.create(tmp_path / "pki", SystemClock(), "Test")
    (tmp_path / "hub.yaml").write_text("data: data\npki: pki\nrules: rules.yaml\n")
    (tmp_path / "rules.yaml").write_text("rules: []\ndefault: {group: neuro}\n")
    for module in ("hub.access.offline", "hub.access.access"):
        monkeypatch.setattr(f"{module}.Passwords", lambda: Passwords(CHEAP))
    return tmp_path


class Telerad:
    def __init__(self, folder: Path, capsys: Any, monkeypatch: Any) -> None:
        self.folder, self.capsys, self.monkeypatch = folder, capsys, monkeypatch

    def __call__(self, *words: str, stdin: str = "") -> tuple[int, str]:
        self.monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = cli.main([*words, "-c", str(self.folder / "hub.yaml")])
        told = self.capsys.readouterr()
        return code, told.err or told.out

    def json(self, *words: str, stdin: str = "") -> Any:
        code, told = self(*words, "--json", stdin=stdin)
        assert code == 0, told
        return json.loads(told)


@pytest.fixture
def telerad(folder: Path, capsys, monkeypatch) -> Telerad:
    return Telerad(folder, capsys, monkeypatch)


def on_hub(folder: Path, work: Any) -> Any:
    async def run() -> Any:
        database = await open_database(sqlite_url(folder / "data" / "hub.db"), metadata, version=VERSION)
        try:
            clock = SystemClock()
            trail, vault = AuditTrail(database, clock), Vault(b"v" * 32)
            hashing = Passwords(CHEAP)
            data = folder / "data"
            log, seals = CustodyLog.of(data, database), Seals.load(data)
            access = Access(database, log, clock, vault=vault, seals=seals, trail=trail, passwords=hashing)
            return await work(access)
        finally:
            await database.close()

    return asyncio.run(run())


def create_reader(telerad: Telerad, secrets: str = f"{PASSWORD}\n") -> None:
    words = ["--name", "dr.li", "--display", "李伟医生", "--email", "li@example.org", "--role", "reader"]
    reading = ["--language", "zh", "--group", "neuro", "--group", "chest", "--site", "H001:2027-06-30"]
    made = telerad.json("hub", "user", "create", *words, *reading, "--password-stdin", stdin=secrets)
    assert made == {"name": "dr.li", "role": "reader"}


def test_a_new_reader_can_log_in_and_sign(telerad: Telerad, folder: Path) -> None:
    create_reader(telerad)

    async def look(access: Access) -> SigningKey:
        account = (await access.login("dr.li", PASSWORD, None, address="")).session.account
        assert (account.display_name, account.language) == ("李伟医生", "zh")
        return await access.signing_keys.unlock("dr.li", PASSWORD)

    key = on_hub(folder, look)
    trust = Authority.open(folder / "pki", SystemClock()).trust
    identity = trust.identify(key.chain, Purpose.PERSON, SystemClock().now())
    assert identity.name == "李伟医生"
    (name,) = key.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "李伟医生"
    assert telerad.json("hub", "reader", "list")["readers"] == [
        {
            "name": "dr.li",
            "display_name": "李伟医生",
            "available": True,
            "capacity": 50,
            "groups": ["chest", "neuro"],
            "sites": [{"site": "H001", "licensed_until": "2027-06-30"}],
        }
    ]


def test_nobody_else_on_the_machine_reads_the_accounts(telerad: Telerad, folder: Path) -> None:
    create_reader(telerad)
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700


def test_the_second_line_is_a_passphrase_of_its_own(telerad: Telerad, folder: Path) -> None:
    create_reader(telerad, f"{PASSWORD}\nanother phrase\n")

    async def unlock(access: Access) -> SigningKey:
        with pytest.raises(NotAllowed):
            await access.signing_keys.unlock("dr.li", PASSWORD)
        return await access.signing_keys.unlock("dr.li", "another phrase")

    before = on_hub(folder, unlock)
    telerad.json("hub", "user", "passphrase", "--name", "dr.li", "--password-stdin", stdin="third phrase\n")
    key = on_hub(folder, lambda access: access.signing_keys.unlock("dr.li", "third phrase"))
    crl = x509.load_der_x509_crl(Authority.open(folder / "pki", SystemClock()).crl(Issuer.PEOPLE))
    assert [one.serial_number for one in crl] == [before.certificate.serial_number]
    assert key.certificate.serial_number != before.certificate.serial_number


def test_an_account_is_barred_let_in_and_given_another_password(telerad: Telerad, folder: Path) -> None:
    create_reader(telerad)

    def login(password: str) -> Any:
        return on_hub(folder, lambda access: access.login("dr.li", password, None, address=""))

    telerad.json("hub", "user", "disable", "--name", "dr.li")
    with pytest.raises(NotAllowed):
        login(PASSWORD)
    telerad.json("hub", "user", "enable", "--name", "dr.li")
    login(PASSWORD)
    secret = "quite another one\n"
    telerad.json("hub", "user", "password", "--name", "dr.li", "--password-stdin", stdin=secret)
    with pytest.raises(NotAllowed):
        login(PASSWORD)
    login("quite another one")
    (user,) = telerad.json("hub", "user", "list")["users"]
    assert (user["disabled"], user["second_factor"]) == (False, False)
    assert not {"password", "totp_secret"} & user.keys()


def test_a_reader_changes(telerad: Telerad) -> None:
    create_reader(telerad)
    telerad.json("hub", "reader", "set", "--name", "dr.li", "--group", "general", "--capacity", "3")
    telerad.json("hub", "reader", "away", "--name", "dr.li")
    (reader,) = telerad.json("hub", "reader", "list")["readers"]
    assert (reader["groups"], reader["capacity"], reader["available"]) == (["general"], 3, False)
    assert reader["sites"], "what was not named stays"
    telerad.json("hub", "reader", "back", "--name", "dr.li")
    assert telerad.json("hub", "reader", "list")["readers"][0]["available"] is True


def test_a_token_is_new_every_time_and_belongs_to_a_service(telerad: Telerad, folder: Path) -> None:
    first = telerad.json("hub", "bearer", "create")
    second = telerad.json("hub", "bearer", "create", "--days", "1")
    assert first["name"] == second["name"] == "dicomweb"
    assert first["token"] != second["token"]
    session = on_hub(folder, lambda access: access.sessions.find(first["token"], kind="bearer"))
    assert session.account.role == "service"
    create_reader(telerad)
    code, told = telerad("hub", "bearer", "create", "--name", "dr.li")
    assert code == 2
    assert "is a person" in told


@pytest.mark.parametrize(
    ("words", "stdin", "code", "said"),
    [
        (("hub", "user", "disable", "--name", "nobody"), "", 1, "no account 'nobody'"),
        (("hub", "reader", "away", "--name", "nobody"), "", 1, "no reader 'nobody'"),
        (("hub", "user", "password", "--name", "nobody", "--password-stdin"), "", 2, "no password"),
        (("hub", "user", "password", "--name", "nobody"), "", 2, "--password-stdin"),
        (("hub", "user", "create", "--name", "x", "--display", "X", "--role", "site", "--password-stdin"),
         "long enough password\n", 2, "exactly one --site"),
        (("hub", "user", "create", "--name", "x", "--display", "X", "--role", "reader", "--password-stdin"),
         "long enough password\n", 1, "e-mail"),
        (("hub", "user", "create", "--name", "x", "--display", "X", "--role", "auditor", "--password-stdin"),
         "short one\n", 1, "at least 15 characters"),
        (("hub", "user", "create", "--name", "x", "--display", "X", "--role", "reader", "--email", "a@b",
          "--site", "H001:soon", "--password-stdin"), "long enough password\n", 2, "YYYY-MM-DD"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(
    telerad: Telerad, words: tuple[str, ...], stdin: str, code: int, said: str
) -> None:
    found, told = telerad(*words, stdin=stdin)
    assert (found, said in told) == (code, True), told


def test_rules_are_checked_against_the_readers_there_are(telerad: Telerad, folder: Path) -> None:
    rules = str(folder / "rules.yaml")
    code, told = telerad("rules", "check", rules)
    assert (code, "group neuro has no reader" in told) == (0, True)
    create_reader(telerad)
    code, told = telerad("rules", "check", rules)
    assert (code, "no reader" in told) == (0, False)
    (folder / "rules.yaml").write_text("rules: [{name: x}]\n")
    code, told = telerad("rules", "check", rules)
    assert code == 1
    code, told = telerad("rules", "explain", rules)
    assert (code, "default is missing" in told) == (2, True)


def test_a_study_of_the_hub_is_explained(telerad: Telerad, folder: Path) -> None:
    create_reader(telerad)

    async def add() -> None:
        database = await open_database(sqlite_url(folder / "data" / "hub.db"), metadata, version=VERSION)
        await Studies(database, SetClock()).add(description="CT Kopf")
        await database.close()

    asyncio.run(add())
    text = "rules: [{name: head, when: {description: kopf, sending_ae: CT1}, then: {group: neuro}}]\n"
    (folder / "rules.yaml").write_text(text + "default: {group: neuro}\n")
    answer = telerad.json("rules", "explain", str(folder / "rules.yaml"), "--study", "1.2.3.1")
    assert answer["decision"]["rule"] == "head"
    assert answer["decision"]["why"] == [
        "rule head (rules.yaml:1) matched: description contains kopf (it is CT Kopf); sending ae is CT1"
    ]
    code, told = telerad("rules", "explain", str(folder / "rules.yaml"), "--study", "9.9")
    assert (code, "no study 9.9" in told) == (2, True)
    code, told = telerad("rules", "explain", str(folder / "rules.yaml"), "--fact", "modality")
    assert (code, "NAME=VALUE" in told) == (2, True)
    assert telerad.json("rules", "check", str(folder / "rules.yaml"))[0]["rules"] == ["head"]


def test_factors_sessions_and_sign_on_from_the_command_line(telerad: Telerad) -> None:
    create_reader(telerad)
    codes = telerad.json("hub", "user", "recovery", "--name", "dr.li")["codes"]
    assert len(codes) == 10

    async def enter(access: Access) -> None:
        assert await access.accounts.recovery.use("dr.li", codes[3])
        await access.sessions.open("dr.li", factors=1, address="192.0.2.9", agent="Browser")

    on_hub(telerad.folder, enter)
    (session,) = telerad.json("hub", "user", "sessions", "--name", "dr.li")["sessions"]
    assert (session["address"], session["agent"]) == ("192.0.2.9", "Browser")
    telerad.json("hub", "user", "log-out", "--name", "dr.li")
    assert telerad.json("hub", "user", "sessions", "--name", "dr.li")["sessions"] == []
    code, told = telerad("hub", "user", "link", "--name", "dr.li", "--subject", "s-1")
    assert code == 2
    assert "access.oidc" in told
    with (telerad.folder / "hub.yaml").open("a") as file:
        file.write("access: {oidc: {issuer: 'https://login.example', client_id: telerad}}\n")
    linked = telerad.json("hub", "user", "link", "--name", "dr.li", "--subject", "s-1")
    assert linked == {"issuer": "https://login.example", "subject": "s-1", "user": "dr.li"}
    telerad.json("hub", "user", "unlink", "--name", "dr.li")

    async def acts(access: Access) -> list[str]:
        async with access.accounts._database.reading() as connection:
            rows = (await connection.execute(select(audit_events.c.event, audit_events.c.detail))).all()
            changes = select(custody.c.leaf).where(custody.c.event == "account-changed")
            leaves = (await connection.execute(changes)).scalars().all()
            assert await faults(connection) == []
        assert {row.event for row in rows} == {"account-changed"}
        assert len(leaves) == len(rows)
        assert all(len(json.loads(leaf)["detail"]["by"]) == 64 for leaf in leaves)
        return [json.loads(row.detail)["change"] for row in rows]

    assert on_hub(telerad.folder, acts) == ["create", "recovery", "log-out", "link", "unlink"]


def test_the_audit_names_an_edited_account_and_vouching_takes_it(telerad: Telerad, folder: Path) -> None:
    (folder / "data" / "keys").mkdir(parents=True)
    keyfile.store(folder / "data" / "keys" / "checkpoint.key", Ed25519PrivateKey.generate())
    create_reader(telerad)
    audit = ("hub", "custody", "audit")
    found = telerad.json(*audit)
    assert (found["rows"], found["whole"]) == ([], True)
    with closing(sqlite3.connect(folder / "data" / "hub.db")) as connection, connection:
        connection.execute("UPDATE users SET role = 'admin'")
    code, told = telerad(*audit)
    assert code == 1
    assert "EDITED account dr.li: its account was changed" in told
    code, told = telerad("hub", "custody", "vouch")
    assert (code, told.startswith("1 accounts are taken as they are; 1 things did not fit")) == (0, True)
    assert telerad.json(*audit)["rows"] == []
    (folder / "data" / "keys" / "access.key").unlink()  # lost
    code, told = telerad(*audit)
    assert code == 1
    assert "keys/access.key is not the one" in told
    assert telerad("hub", "custody", "vouch")[0] == 0
    assert telerad.json(*audit)["rows"] == []


def test_a_persons_salt_is_erased_once_the_account_is_barred(telerad: Telerad, folder: Path) -> None:
    (folder / "data" / "keys").mkdir(parents=True)
    keyfile.store(folder / "data" / "keys" / "checkpoint.key", Ed25519PrivateKey.generate())
    create_reader(telerad)
    before = _salts(folder)
    erase = ("hub", "custody", "erase-person", "--name", "dr.li")
    code, told = telerad(*erase)
    assert (code, "bar the account first" in told) == (1, True)
    telerad.json("hub", "user", "disable", "--name", "dr.li")
    assert telerad(*erase)[0] == 0
    assert _salts(folder)["dr.li"] != before["dr.li"]  # what comes later has another
    assert telerad.json("hub", "custody", "audit")["rows"] == []
    assert telerad("hub", "custody", "erase-person", "--name", "nobody")[0] == 1


def _salts(folder: Path) -> dict[str, str]:
    with closing(sqlite3.connect(folder / "data" / "hub.db")) as connection:
        return dict(connection.execute("SELECT name, salt FROM person_salts").fetchall())
