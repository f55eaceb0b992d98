from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from asn1crypto import tsp

from gateway.trust import pem
from tests.doubles.small_authority import SmallAuthority

DATA = b"what is stamped"


def request(algorithm: str = "sha256", digest: bytes | None = None, **more: object) -> tsp.TimeStampReq:
    imprint = {
        "hash_algorithm": {"algorithm": algorithm},
        "hashed_message": digest or hashlib.new(algorithm, DATA).digest(),
    }
    return tsp.TimeStampReq({"version": 1, "message_imprint": imprint, "cert_req": True, **more})


def test_openssl_accepts_the_token_and_refuses_it_for_other_data(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    authority = SmallAuthority()
    stamps = authority.timestamps()
    answer = stamps.answer(request(nonce=7))
    (tmp_path / "answer.tsr").write_bytes(answer.dump())
    (tmp_path / "root.pem").write_bytes(pem([authority.root.certificate]))
    (tmp_path / "chain.pem").write_bytes(pem(stamps.chain))
    for data, good in ((DATA, True), (b"other", False)):
        (tmp_path / "data").write_bytes(data)
        command = "openssl ts -verify -in answer.tsr -data data -CAfile root.pem -untrusted chain.pem"
        done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode == 0) is good, done.stderr


@pytest.mark.parametrize(
    ("bad", "failure"),
    [
        (request("sha1"), "bad_alg"),
        (request(digest=b"short"), "bad_data_format"),
        (request(req_policy="1.2.3"), "unaccepted_policy"),
    ],
)
def test_what_is_not_served_is_rejected_with_its_reason(bad: tsp.TimeStampReq, failure: str) -> None:
    answer = SmallAuthority().timestamps().answer(bad)
    assert answer["status"]["status"].native == "rejection"
    assert answer["status"]["fail_info"].native == {failure}


def test_no_serial_number_is_used_twice() -> None:
    stamps = SmallAuthority().timestamps()
    serials = set()
    for _ in range(50):
        content = stamps.answer(request())["time_stamp_token"]["content"]["encap_content_info"]["content"]
        serials.add(content.parsed["serial_number"].native)
    assert len(serials) == 50
