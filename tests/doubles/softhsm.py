"""A PKCS#11 token of SoftHSM in a folder of the test's, with P-256 keys that cannot be taken out."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pkcs11
import pytest
from pkcs11.util.ec import encode_named_curve_parameters

MODULES = (Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"))
TOKEN, PIN = "telerad-test", "4711-0815"


class SoftHsm:
    """The token. SoftHSM reads its configuration once a process, so there is one folder for all tests."""

    def __init__(self, folder: Path) -> None:
        module = next((one for one in MODULES if one.exists()), None)
        if module is None or shutil.which("softhsm2-util") is None:
            pytest.skip("SoftHSM (softhsm2) is not installed")
        self.module, self.folder = module, folder
        (folder / "tokens").mkdir()
        (folder / "softhsm2.conf").write_text(
            f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n"
        )
        os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
        command = [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            TOKEN,
            "--so-pin",
            "1234",
            "--pin",
            PIN,
        ]
        subprocess.run(command, check=True, capture_output=True)
        self.pin_file = folder / "pin"
        self.pin_file.write_text(PIN + "\n")
        self.pin_file.chmod(0o600)

    def key(self, label: str) -> str:
        """Make a key in the token; returns its URI."""
        found = pkcs11.lib(str(self.module)).get_token(token_label=TOKEN)
        try:
            session = found.open(user_pin=PIN, rw=True)
        except pkcs11.exceptions.UserAlreadyLoggedIn:
            session = found.open(rw=True)
        with session:
            curve = encode_named_curve_parameters("secp256r1")
            parameters = session.create_domain_parameters(
                pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: curve}, local=True
            )
            parameters.generate_keypair(store=True, label=label)
        return self.uri(label)

    def uri(self, label: str) -> str:
        return (
            f"pkcs11:token={TOKEN};object={label}?module-path={self.module}&pin-source=file:{self.pin_file}"
        )
