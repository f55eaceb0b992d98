"""The parts of access as this machine's own commands use them: no codes are proved, no sessions run out."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.clock import Clock, SystemClock
from gateway.database import Database
from hub.access.accounts import Accounts
from hub.access.passwords import Passwords
from hub.access.readers import Readers
from hub.access.sessions import Sessions
from hub.access.signing import SigningKeys
from hub.config import HubConfig
from hub.custody import CustodyLog
from hub.seals import Seals
from hub.standing import Standing


@dataclass(frozen=True, slots=True)
class People:
    """Accounts and what belongs to them, over the database of a hub."""

    settings: HubConfig
    database: Database
    clock: Clock
    log: CustodyLog
    standing: Standing
    accounts: Accounts
    readers: Readers
    signing_keys: SigningKeys
    sessions: Sessions

    @classmethod
    def of(cls, settings: HubConfig, database: Database) -> People:
        """By the configuration. Raises as `hub.seals.read_key`."""
        clock, passwords, seals = SystemClock(), Passwords(), Seals.load(settings.data)
        log = CustodyLog.of(settings.data, database)
        standing, told = Standing(log, seals), settings.access
        return cls(
            settings,
            database,
            clock,
            log,
            standing,
            Accounts(database, passwords, clock, standing),
            Readers(database, standing),
            SigningKeys(database, passwords, clock, standing),
            Sessions(database, clock, seals, standing, idle=told.idle, absolute=told.absolute),
        )
