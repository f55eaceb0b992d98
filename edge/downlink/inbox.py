"""How far each delivery is: one small file a delivery, replaced in one durable step at each change.

``<id>.json`` while it is under way, ``done/<id>.json`` when every destination has it and the hub
knows. No patient data: identifiers, names of destinations, their words.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edge.downlink.states import Event, Stage, State, step, summary
from gateway import durable
from gateway.errors import Broken
from gateway.report.delivery import MAX_DETAIL

SHOWN = 50
"""Finished deliveries kept at hand for the page."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One destination."""

    kind: str
    stage: Stage = Stage.WAITING
    detail: str = ""
    at: str = ""
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One delivery.

    Attributes:
        manifest_sha256: known once its package was opened.
        revision: number of the newest word for the hub.
        told: number of the newest word the hub has taken.
    """

    delivery_id: str
    queued_at: str
    report_id: str
    state: State = State.LISTED
    manifest_sha256: str = ""
    reason: str = ""
    revision: int = 0
    told: int = 0
    destinations: dict[str, Progress] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Every destination has it and the hub knows."""
        return self.state is State.ACKNOWLEDGED and self.told == self.revision

    def accept(self, manifest_sha256: str, destinations: dict[str, str]) -> Entry:
        """Its package holds. Destinations (name to kind) that are new since last time begin as waiting."""
        kept = {name: self.destinations.get(name) or Progress(kind) for name, kind in destinations.items()}
        opened = replace(self, manifest_sha256=manifest_sha256, reason="", destinations=kept)
        return _settled(opened, summary(progress.stage for progress in kept.values()))

    def reject(self, reason: str) -> Entry:
        """Its package does not hold."""
        return _settled(replace(self, reason=reason[:MAX_DETAIL]), State.REFUSED)

    def tried(self, name: str, event: Event, detail: str, at: str) -> Entry:
        """A destination was tried. The hub is told only if something is different now."""
        before = self.destinations[name]
        stage = step(before.stage, event)
        words = (
            before.detail if stage is Stage.DELIVERED and event is not Event.DELIVER else detail[:MAX_DETAIL]
        )
        after = Progress(before.kind, stage, words, at, before.tries + 1)
        changed = replace(self, destinations=self.destinations | {name: after})
        if (stage, words) == (before.stage, before.detail):
            return replace(changed, destinations=self.destinations | {name: replace(after, at=before.at)})
        return _settled(changed, summary(one.stage for one in changed.destinations.values()))

    def to_bytes(self) -> bytes:
        """JSON."""
        value = asdict(self) | {"state": self.state.value}
        for progress in value["destinations"].values():
            progress["stage"] = progress["stage"].value
        return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Entry:
        """Read what `to_bytes` wrote. Raises Broken: nobody else writes these files."""
        try:
            value: dict[str, Any] = json.loads(data)
            value["state"] = State(value["state"])
            value["destinations"] = {
                name: Progress(**(progress | {"stage": Stage(progress["stage"])}))
                for name, progress in value["destinations"].items()
            }
            return cls(**value)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Broken(f"a delivery's record cannot be read: {error}") from error


def _settled(entry: Entry, state: State) -> Entry:
    """With a new word for the hub."""
    return replace(entry, state=state, revision=entry.revision + 1)


class Inbox:
    """The records.

    Args:
        folder: such as ``data/downlink``; created if it is not there.

    Attributes:
        finished: those that ended last, the newest last.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._done = folder, folder / "done"
        durable.make_folder(self._done)
        durable.sweep(folder)
        self.finished: deque[Entry] = deque(maxlen=SHOWN)
        newest = sorted(self._done.glob("*.json"), key=lambda file: file.stat().st_mtime)[-SHOWN:]
        self.finished.extend(Entry.from_bytes(file.read_bytes()) for file in newest)
        self._entries = {
            file.stem: Entry.from_bytes(file.read_bytes()) for file in sorted(folder.glob("*.json"))
        }
        for entry in list(self._entries.values()):
            self._retire(entry)  # a crash may have come between the last word and this

    def open(self) -> list[Entry]:
        """What is under way, the oldest first."""
        return sorted(self._entries.values(), key=lambda entry: (entry.queued_at, entry.delivery_id))

    def get(self, delivery: str) -> Entry | None:
        """One that is under way."""
        return self._entries.get(delivery)

    def is_done(self, delivery: str) -> bool:
        """Whether it went well, long ago or just now."""
        return (self._done / f"{delivery}.json").exists()

    def reopen(self, delivery: str, revision: int) -> Entry:
        """Take a finished one up again, since the hub has forgotten how it ended; to be told once more."""
        entry = Entry.from_bytes((self._done / f"{delivery}.json").read_bytes())
        return replace(entry, revision=max(entry.revision, revision) + 1, told=revision)

    def put(self, entry: Entry) -> None:
        """Keep `entry`, durably."""
        durable.replace(self._folder / f"{entry.delivery_id}.json", entry.to_bytes())
        self._entries[entry.delivery_id] = entry
        self._retire(entry)

    def _retire(self, entry: Entry) -> None:
        if not entry.finished:
            return
        file = self._folder / f"{entry.delivery_id}.json"
        durable.replace(self._done / file.name, entry.to_bytes())
        durable.remove(file)
        self.finished.append(entry)
        del self._entries[entry.delivery_id]
