"""Attack 27 on whatever lets a person in: rows put in, changed or taken away with SQL are named by the audit.

And the other way round: whatever is done through the program leaves an audit that finds nothing.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from gateway.clock import rfc3339
from hub import rows_accounts
from hub.access.access import Edited
from hub.access.accounts import BadCredentials
from hub.access.emergency import Emergency
from hub.access.readers import Readers
from hub.access.signing import SigningKeys
from hub.access.totp import generate
from hub.access.vault import Vault
from hub.people import Account, Role
from hub.record import user
from hub.rows_accounts import gone
from hub.rows_quick import Quick
from hub.rows_told import Told
from hub.seals import Seals
from hub.standing import faults
from hub.tables.account import users
from hub.tables.custody import custody
from hub.trail import AuditTrail
from tests.doubles.people import CHEAP, PASSWORD, Hub, Passwords, open_hub
from tests.doubles.studies import Studies
from tests.unit.hub.access.test_signing import OnePerson

SEALS = Seals(b"v" * 32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's database, filled once."""
    folder = tmp_path_factory.mktemp("hub")

    async def fill() -> None:
        hub = await open_hub(folder)
        await _fill(hub)
        await hub.database.close()

    asyncio.run(fill())
    return folder


@pytest.fixture
async def hub(tmp_path: Path, made: Path) -> AsyncIterator[Hub]:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    hub = await open_hub(tmp_path)
    yield hub
    await hub.database.close()


@pytest.fixture
def filled(hub: Hub, tmp_path: Path) -> Path:
    """The file of that database, to be edited by hand."""
    return tmp_path / "hub.db"


async def _fill(hub: Hub) -> None:
    """Two readers, a program with a token, somebody logged in, somebody let through the glass."""
    await hub.account("chen", groups=["neuro"], sites=[("H001", "2027-06-30")])
    await hub.account("wei", groups=["neuro"])
    await hub.account("boss", Role.ADMIN)
    await hub.account("robot", Role.SERVICE)
    access = hub.access
    await access.sessions.bearer("robot", life=86400)
    await access.login("wei", PASSWORD, None, address="10.0.0.1")
    await access.accounts.recovery.renew("wei")
    secret = await access.accounts.begin_second_factor("chen")
    code = generate(secret, at=hub.clock.now().timestamp())
    await access.accounts.confirm_second_factor("chen", code)
    await _passkey(hub, "chen")
    keys = SigningKeys(hub.database, Passwords(CHEAP), hub.clock, access.standing)
    await keys.create("chen", "Dr Chen", "chen@example.org", "pass phrase", OnePerson(hub.clock))
    await Studies(hub.database, hub.clock).add(patient="P1")
    emergency = Emergency(hub.database, hub.record, access._trail, hub.clock)
    wei = Account("wei", "Dr Wei", Role.READER)
    await emergency.open(wei, "1.2.3.1", "bleeding, nobody else is here", address="")
    assert await look(hub) == []


async def _passkey(hub: Hub, name: str) -> None:
    from hub.tables.account import passkeys

    async with hub.database.writing() as connection:
        row = {"id": "k1", "user": name, "label": "a telephone", "public_key": b"key", "created_at": ""}
        await connection.execute(insert(passkeys).values(row))
        await hub.access.standing.enter(connection, name)


async def look(hub: Hub) -> list[str]:
    return await rows_accounts.look(hub.database, SEALS, hub.clock) + await gone(hub.database)


def by_hand(file: Path, command: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        assert connection.execute(command).rowcount > 0


NEW = "'Dr M', 'm@x.org', 'admin', 'en', NULL, password, NULL, NULL, 0, 0, NULL, 0, created_at"
EDITS = [
    (f"INSERT INTO users SELECT 'mallory', {NEW} FROM users WHERE name = 'chen'", "account mallory: it is there"),
    ("UPDATE users SET role = 'admin' WHERE name = 'chen'", "account chen: its account was changed"),
    ("UPDATE users SET site = 'H002' WHERE name = 'chen'", "account chen: its account was changed"),
    ("UPDATE users SET disabled = 1 WHERE name = 'chen'", "account chen: its account was changed"),
    ("UPDATE users SET email = 'm@x.org' WHERE name = 'chen'", "account chen: its account was changed"),
    (
        "UPDATE users SET password = (SELECT password FROM users WHERE name = 'wei') WHERE name = 'boss'",
        "account boss: its password was changed",
    ),
    ("UPDATE users SET totp_secret = NULL WHERE name = 'chen'", "account chen: its app code was changed"),
    ("UPDATE users SET totp_secret = x'00' WHERE name = 'wei'", "account wei: its app code was added"),
    (
        "INSERT INTO passkeys VALUES ('theirs', 'boss', 'x', x'01', 0, '', NULL)",
        "account boss: a passkey was added or changed (theirs)",
    ),
    ("UPDATE passkeys SET public_key = x'01'", "account chen: a passkey was added or changed (k1)"),
    ("UPDATE passkeys SET user = 'boss'", "account boss: a passkey was added or changed (k1)"),
    ("DELETE FROM passkeys", "account chen: a passkey is gone (1)"),
    ("UPDATE recovery_codes SET code_sha256 = 'x' || substr(code_sha256, 2)", "account wei: a recovery code"),
    ("DELETE FROM recovery_codes", "account wei: a recovery code is gone (10)"),
    (
        "INSERT INTO identities VALUES ('https://login.example.org', 's-9', 'boss', '')",
        "account boss: a single sign-on was added or changed (https://login.example.or",
    ),
    ("UPDATE signing_keys SET wrapped = x'00'", "account chen: its signing key was changed"),
    ("INSERT INTO reader_groups VALUES ('chen', 'chest')", "account chen: a reading group was added"),
    ("DELETE FROM reader_sites", "account chen: a site to read for is gone (1)"),
    ("UPDATE reader_sites SET licensed_until = NULL", "account chen: a site to read for was added or changed (H001)"),
    ("UPDATE sessions SET user = 'boss' WHERE kind = 'browser' AND revoked_at IS NULL", "of boss: this program"),
    ("UPDATE sessions SET factors = 2 WHERE kind = 'browser'", "of wei: this program did not open it so"),
    ("UPDATE sessions SET kind = 'bearer' WHERE user = 'wei'", "of wei: this program did not open it so"),
    ("UPDATE sessions SET expires_at = '2099-01-01T00:00:00.000000Z'", "of wei: this program did not open it so"),
    ("UPDATE sessions SET expires_at = '2099-01-01T00:00:00.000000Z'", "account robot: a token was added or changed"),
    ("UPDATE users SET role = 'admin' WHERE name = 'wei'", "of wei: this program did not open it so"),
    ("UPDATE break_glass SET until = '2099-01-01T00:00:00.000000Z'", "wei was let into a study, and nobody asked"),
    ("UPDATE break_glass SET user = 'chen'", "chen was let into a study, and nobody asked"),
    ("UPDATE person_salts SET salt = '00' WHERE name = 'chen'", "account chen: it is there, and nobody made it"),
    ("DELETE FROM person_salts WHERE name = 'chen'", "account chen: it is there, and nobody made it"),
    ("DELETE FROM users WHERE name = 'boss'", "its row is gone, or the salt that leads to it"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "words"), EDITS, ids=[f"{n}-{command[:30]}" for n, (command, _) in enumerate(EDITS)]
)
async def test_attack_27_an_account_edited_with_sql_is_named(
    hub: Hub, filled: Path, command: str, words: str
) -> None:
    by_hand(filled, command)
    found = await look(hub)
    assert any(words in fault for fault in found), found


async def test_attack_27_who_was_added_or_raised_does_not_get_in(hub: Hub, filled: Path) -> None:
    by_hand(filled, f"INSERT INTO users SELECT 'mallory', {NEW} FROM users WHERE name = 'wei'")
    by_hand(filled, "UPDATE users SET role = 'admin' WHERE name = 'wei'")
    for name in ("mallory", "wei"):
        with pytest.raises(Edited, match="behind the program's back"):
            await hub.access.login(name, PASSWORD, None, address="10.0.0.1")
    assert hub.record.names()[-2:] == ["login-refused", "login-refused"]
    await hub.access.login("boss", PASSWORD, None, address="10.0.0.1")  # others are not kept out by it
    with pytest.raises(BadCredentials):
        await hub.access.login("mallory", "wrong" + PASSWORD, None, address="10.0.0.2")


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE sessions SET user = 'boss' WHERE kind = 'browser' AND revoked_at IS NULL",
        "UPDATE users SET role = 'admin' WHERE name = 'wei'",
        "DELETE FROM session_seals",
    ],
)
async def test_attack_15_a_session_led_to_another_account_or_role_is_dead(
    hub: Hub, filled: Path, edit: str
) -> None:
    login = await hub.access.login("wei", PASSWORD, None, address="10.0.0.1")
    assert await hub.access.sessions.find(login.token, kind="browser") is not None
    by_hand(filled, edit)
    assert await hub.access.sessions.find(login.token, kind="browser") is None


async def test_attack_15_a_session_put_in_by_hand_opens_nothing(hub: Hub, filled: Path) -> None:
    from hub.access.sessions import token_digest

    end = rfc3339(hub.clock.now() + timedelta(hours=1))
    by_hand(
        filled,
        f"INSERT INTO sessions SELECT '{token_digest('mine')}', 'boss', 'browser', 'c', 2, '', '', '{end}',"
        f" created_at, seen_at, '{end}', NULL FROM sessions LIMIT 1",
    )
    by_hand(
        filled, f"INSERT INTO session_seals SELECT '{token_digest('mine')}', seal FROM session_seals LIMIT 1"
    )
    assert await hub.access.sessions.find("mine", kind="browser") is None


async def test_attack_27_an_entry_copied_into_the_log_does_not_put_it_right(hub: Hub, filled: Path) -> None:
    """Somebody who takes the newest good standing of chen from before a change, and appends it again."""
    await hub.access.accounts.set_disabled("chen", disabled=True)
    with closing(sqlite3.connect(filled)) as connection:
        rows = connection.execute(
            "SELECT leaf FROM custody WHERE event = 'account-standing' ORDER BY position"
        ).fetchall()
        last = connection.execute("SELECT max(position) FROM custody").fetchone()[0]
    subject = json.loads(rows[-1][0])["subject"]
    earlier = [json.loads(leaf) for (leaf,) in rows[:-1] if json.loads(leaf)["subject"] == subject][-1]
    forged = earlier | {"position": last + 1}
    _append(filled, forged)
    by_hand(filled, f"INSERT INTO leaf_seals SELECT {last + 1}, seal FROM leaf_seals WHERE position = {last}")
    by_hand(filled, "UPDATE users SET disabled = 0 WHERE name = 'chen'")
    async with hub.database.reading() as connection:
        assert await faults(connection, "chen") == []  # the rows and the forged entry agree
    quick = _quick(hub)
    found = await quick.look()
    assert len(found) == 1
    assert found[0].startswith(f"entry {last + 1} of the custody log: has another seal: this program did not")


def _append(file: Path, leaf: dict[str, object]) -> None:
    from gateway import canonical
    from gateway.custody import merkle

    text = canonical.dump(leaf)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "INSERT INTO custody VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(leaf[name] for name in ("position", "event", "at", "site", "subject")),
                text.decode(),
                merkle.leaf_hash(text).hex(),
            ),
        )


def _quick(hub: Hub) -> Quick:
    told = Told(hub.database, hub.record, AuditTrail(hub.database, hub.clock), hub.clock)
    return Quick(hub.database, SEALS, hub.access.standing, hub.clock, told)


async def test_attack_27_entries_and_seals_that_are_not_ours_are_named(hub: Hub, filled: Path) -> None:
    quick = _quick(hub)
    assert await quick.look() == []
    with closing(sqlite3.connect(filled)) as connection:
        last = connection.execute("SELECT max(position) FROM custody").fetchone()[0]
    entry = {"event": "edge-revoked", "at": "", "site": "H001", "subject": "a" * 64, "detail": {}}
    _append(filled, {"position": last + 1, **entry})
    _append(filled, {"position": last + 2, **entry})
    line = f"entries {last + 1} to {last + 2} of the custody log: has no seal: this program did not write it"
    assert await quick.look() == [line]
    assert hub.record.names()[-1] == "rows-edited"
    told = len(hub.record.events)
    assert await quick.look() == [line]  # found again, told once
    assert len(hub.record.events) == told
    by_hand(filled, "DELETE FROM leaf_seals")
    async with hub.database.writing() as connection:
        await hub.record.append(connection, "stored")  # would begin the seals anew, and hide the rest
    found = await _quick(hub).look()
    assert len(found) == 2
    assert (
        found[0] == f"entries 0 to {last + 3} of the custody log: has no seal: this program did not write it"
    )
    assert found[1].startswith(f"entry {last + 4} of the custody log: has another seal")


async def test_another_key_is_told_and_vouching_ends_it(hub: Hub, filled: Path) -> None:
    from hub.custody import CustodyLog
    from hub.record import operator
    from hub.standing import Standing

    lost = Seals(b"w" * 32)
    log = CustodyLog(hub.database, None, hub.clock, lost)
    quick = Quick(
        hub.database,
        lost,
        Standing(log, lost),
        hub.clock,
        Told(hub.database, log, AuditTrail(hub.database, hub.clock), hub.clock),
    )
    found = await quick.look()
    assert any("keys/access.key is not the one" in fault for fault in found)
    assert any("session" in fault for fault in found)
    async with hub.database.writing() as connection:
        await log.begin_seals(connection, operator())
        await Standing(log, lost).vouch(connection, rfc3339(hub.clock.now()))
    quick = Quick(
        hub.database,
        lost,
        Standing(log, lost),
        hub.clock,
        Told(hub.database, log, AuditTrail(hub.database, hub.clock), hub.clock),
    )
    assert await quick.look() == []
    by_hand(filled, "UPDATE users SET role = 'admin' WHERE name = 'chen'")
    assert await quick.look() == ["account chen: its account was changed"]


async def test_accounts_from_before_are_taken_once_and_never_again(hub: Hub, filled: Path) -> None:
    """A database whose log knows nothing of accounts, as an older program left it."""
    by_hand(filled, "DELETE FROM leaf_seals")
    by_hand(filled, "DELETE FROM session_seals")
    by_hand(filled, "DELETE FROM person_salts")
    by_hand(filled, "DELETE FROM custody")
    by_hand(filled, "DELETE FROM break_glass")
    token = (await hub.access.sessions.open("wei", factors=1, address=""))[0]
    by_hand(filled, "DELETE FROM session_seals")
    hub.access.standing._begun = False
    async with hub.database.writing() as connection:
        await hub.access.standing.begin(connection)
    assert await look(hub) == []
    assert await hub.access.sessions.find(token, kind="browser") is not None
    by_hand(filled, f"INSERT INTO users SELECT 'mallory', {NEW} FROM users WHERE name = 'wei'")
    hub.access.standing._begun = False  # as after another start
    async with hub.database.writing() as connection:
        await hub.access.standing.begin(connection)
    assert await look(hub) == ["account mallory: it is there, and nobody made it"]


async def test_whatever_is_done_through_the_program_leaves_nothing_to_find(hub: Hub, filled: Path) -> None:
    accounts, access = hub.access.accounts, hub.access
    readers = Readers(hub.database, access.standing)
    codes = await accounts.recovery.renew("wei")
    for done in (
        accounts.set_password("wei", PASSWORD + "!"),
        accounts.set_disabled("wei", disabled=True),
        accounts.set_disabled("wei", disabled=False),
        accounts.set_language("wei", "zh"),
        accounts.recovery.use("wei", codes[0]),
        accounts.end_sessions("robot"),
        accounts.remove_second_factor("chen"),
        readers.change("chen", groups=["chest"], sites=[("H002", None)], capacity=3, available=False),
        access.sessions.bearer("robot", life=60),
        access.note("chen", "logout"),
    ):
        await done
        assert await look(hub) == []
    hub.clock.advance(86400 * 200)  # sessions, tokens, glass: all over
    assert await look(hub) == []
    assert await _quick(hub).look() == []


async def test_no_leaf_names_anybody_nor_holds_what_can_be_guessed(hub: Hub, filled: Path) -> None:
    await hub.access.note("chen", "passkey-added", label="Chen's telephone", why="words of somebody")
    await hub.access.note("typed by anybody", "login-refused", refused=True, why="BadCredentials")
    async with hub.database.reading() as connection:
        leaves = [row.leaf for row in await connection.execute(select(custody.c.leaf))]
        names = list((await connection.execute(select(users.c.name))).scalars())
    import hashlib

    for leaf in leaves:
        for name in names:
            for kind in ("user", "os-user", "standing"):
                assert hashlib.sha256(f"{kind}:{name}".encode()).hexdigest() not in leaf
            assert f'"{name}"' not in leaf
        for word in ("Chen", "telephone", "words of", "example.org", "typed", "admin", "neuro"):
            assert word not in leaf, leaf
    assert '"why":"BadCredentials"' in leaves[-1]
    assert '"subject":""' in leaves[-1]


async def test_a_person_in_a_log_is_a_salted_digest_that_the_salt_leads_to(hub: Hub, filled: Path) -> None:
    from gateway.custody.commitment import person_digest
    from hub.persons import salt_of

    async with hub.database.writing() as connection:
        await hub.record.append(connection, "case-open", detail={"by": user("chen")})
        salt = await salt_of(connection, "user", "chen")
        leaf = (await connection.execute(select(custody.c.leaf).order_by(custody.c.position.desc()))).scalar()
    assert salt is not None
    assert json.loads(str(leaf))["detail"] == {"by": person_digest(salt, "user", "chen")}


async def test_seals_need_the_key_and_bind_what_they_seal() -> None:
    other, vault = Seals(b"w" * 32), Vault(b"v" * 32)
    assert SEALS.leaf(b"x" * 32) == Seals(b"v" * 32).leaf(b"x" * 32) != other.leaf(b"x" * 32)
    assert SEALS.leaf(b"x" * 32) != SEALS.leaf(b"y" * 32)
    assert SEALS.session({"a": 1}) != SEALS.session({"a": 2})
    assert vault.open(vault.seal(b"s", "x"), "x") == b"s"  # the same key file, another use of it


@pytest.mark.parametrize("leaf", ["", "nonsense", "[]", '{"detail":[]}', '{"detail":{"passkey":7}}'])
async def test_attack_27_rows_and_entries_that_are_nonsense_are_named_and_stop_nothing(
    hub: Hub, filled: Path, leaf: str
) -> None:
    quick = _quick(hub)
    assert await quick.look() == []
    with closing(sqlite3.connect(filled)) as connection, connection:
        (last,) = connection.execute("SELECT max(position) FROM custody").fetchone()
        for at, event in enumerate(("account-standing", "break-glass", "token-created", "trail-sealed"), 1):
            connection.execute(
                "INSERT INTO custody SELECT ?, ?, at, site, subject, ?, ? FROM custody WHERE event = "
                "'account-standing' ORDER BY position DESC LIMIT 1",
                (last + at, event, leaf, "ab" * 32),
            )
    by_hand(filled, "UPDATE readers SET capacity = 1.5 WHERE user = 'chen'")
    by_hand(filled, "INSERT INTO tokens VALUES ('ab', 'H001', 'when', 'ever', NULL, NULL, NULL)")
    found = await quick.look()
    assert any("chen: its reading was" in fault for fault in found)
    assert any("token ab" in fault for fault in found)
    assert any("has no seal" in fault for fault in found)
