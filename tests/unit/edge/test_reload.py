"""The file is read again when it changes; a faulty one is told and changes nothing."""

from __future__ import annotations

from pathlib import Path

from edge.budget import Budgets
from edge.config import EdgeConfig
from edge.reload import Reload
from gateway import config
from gateway.model import Priority
from tests.unit.edge.test_budget import SUNDAY

ONE = "data: x\nuplink:\n  budget:\n    - {rate: 0, priorities: [prior]}\n"


def test_a_changed_file(tmp_path: Path) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text("data: x\n")
    budgets = Budgets()
    reload = Reload(file, config.load(file, EdgeConfig), lambda found: budgets.replace(found.uplink.budget))

    def closed() -> bool:
        return budgets.blocked(Priority.PRIOR, SUNDAY, 0) is not None

    assert not reload.look()
    file.write_text(ONE)
    assert reload.look()
    assert not reload.look()
    assert closed()
    file.write_text(ONE.replace("rate: 0", "rate: fast"))
    assert not reload.look()
    assert "edge.yaml:4: uplink.budget[0].rate: must be a rate" in reload.fault
    assert closed()
    file.unlink()
    assert not reload.look()
    assert "cannot be read" in reload.fault
    assert closed()
    (tmp_path / "new").write_text("data: x\n")  # as editors do: written aside and renamed
    (tmp_path / "new").replace(file)
    assert reload.look()
    assert reload.fault == ""
    assert not closed()
