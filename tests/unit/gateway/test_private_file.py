"""Secrets that others can read are not taken, wherever they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import keyfile
from gateway.envelope.kem import KemKeys
from gateway.errors import UsageError
from gateway.private_file import read_private
from gateway.token import TokenUri


def test_a_private_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"secret")
    file.chmod(0o400)
    assert read_private(file) == b"secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_file_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"secret")
    file.chmod(mode)
    with pytest.raises(UsageError, match=r"the PIN file .* can be read by others.*chmod 600"):
        read_private(file, "PIN file")


def test_what_a_link_points_to_is_judged(tmp_path: Path) -> None:
    file, link = tmp_path / "key", tmp_path / "link"
    file.write_bytes(b"secret")
    file.chmod(0o644)
    link.symlink_to(file)
    with pytest.raises(UsageError, match="can be read by others"):
        read_private(link)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(UsageError, match="cannot be read: "):
            read_private(place)


def test_every_kind_of_key_is_read_so(tmp_path: Path) -> None:
    KemKeys.generate("one").save(tmp_path)
    assert list(KemKeys.load(tmp_path)) == ["one"]
    keyfile.store(tmp_path / "other.pem", keyfile.new())
    pin = tmp_path / "pin"
    pin.write_text("1234\n")
    for file in tmp_path.iterdir():
        file.chmod(0o640)
    uri = TokenUri("token", "object", tmp_path / "module", pin)
    for read in (
        lambda: KemKeys.load(tmp_path),
        lambda: keyfile.load(tmp_path / "other.pem"),
        lambda: keyfile.load_p256(tmp_path / "other.pem"),
        lambda: keyfile.load_second(tmp_path / "other.pem"),
        uri.pin,
    ):
        with pytest.raises(UsageError, match="can be read by others"):
            read()
