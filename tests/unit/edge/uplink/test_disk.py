"""A disk that does not keep what the hub says is told on the page, and until it is well."""

from __future__ import annotations

import errno
import os

import pytest

from edge.console.told import told
from edge.uplink.disk import REST_SECONDS, Disk
from gateway.errors import StorageFull


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS])
def test_a_disk_that_fails_again_and_again(code: int) -> None:
    disk, error = Disk(), OSError(code, os.strerror(code))
    disk.fails(error, 0.0)
    disk.keeps()
    disk.fails(error, 1.0)
    assert disk.look(1.0) == "", "something was kept between the two"
    disk.fails(error, 2.0)
    assert f"does not keep what the hub says ({os.strerror(code)}): have it looked at" in disk.look(2.0)
    shown = told(disk.look(2.0), "zh")
    assert shown.startswith("本机磁盘无法保存中心的应答（")
    assert "SMART" in shown
    assert os.strerror(code) not in shown
    assert disk.look(1000.0), "nothing has shown yet that it is well"
    disk.keeps()
    assert disk.look(2.0 + REST_SECONDS - 1)
    assert disk.look(2.0 + REST_SECONDS) == ""


def test_a_full_disk_is_told_elsewhere() -> None:
    disk = Disk()
    for at in range(5):
        disk.fails(StorageFull("no room"), float(at))
    assert disk.look(5.0) == ""
