import asyncio
import gzip
import shutil
import ssl
import subprocess
import warnings
import zlib
from contextlib import asynccontextmanager
from io import BytesIO

import pytest
from aiohttp import ClientError, ClientSession
from aiohttp.test_utils import TestClient, TestServer
from dicomweb_client.api import DICOMwebClient
from multidict import CIMultiDict
from pydicom import dcmread

from edge.acquire.stow import stow_app, web_tls
from edge.config import DicomTls, Ingest, Sender, Stow
from gateway.config import Bytes, Seconds
from gateway.dicom.part10 import split
from gateway.errors import ConfigError, UsageError
from gateway.model import Priority
from tests.doubles.acquired import dataset, kept, notices, part10
from tests.doubles.datasets import shared_files

OPEN, NOBODY = Stow(open=True), Ingest()
TYPE = 'multipart/related; type="application/dicom"; boundary=cut'


@asynccontextmanager
async def serving(world, config=OPEN, ingest=NOBODY):
    async with TestClient(TestServer(stow_app(world.spool, world.clock, config, ingest))) as client:
        yield client


def multipart(*bodies, closed=True):
    parts = b"".join(b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n" for body in bodies)
    return parts + (b"--cut--\r\n" if closed else b"")


async def post(client, body, path="/studies", kind=TYPE, **headers):
    response = await client.post(path, data=body, headers={"Content-Type": kind, **headers})
    is_json = response.headers["Content-Type"] == "application/dicom+json"
    return response.status, await response.json(content_type=None) if is_json else await response.text()


def uids(module, tag):
    return [item["00081155"]["Value"][0] for item in module.get(tag, {"Value": []})["Value"]]


def reasons(module, tag="00081198"):
    return [item["00081197"]["Value"][0] for item in module[tag]["Value"]]


async def test_instances_are_kept_byte_for_byte_and_the_hub_is_told_how_many(world):
    async with serving(world) as client:
        status, module = await post(client, multipart(part10("1.2.3.4"), part10("1.2.3.5")))
    assert (status, uids(module, "00081199")) == (200, ["1.2.3.4", "1.2.3.5"])
    assert [data for _, data in kept(world)] == [dataset("1.2.3.4"), dataset("1.2.3.5")]
    (notice,) = notices(world)
    assert notice.body["studies"] == {"1.2.3": 2}
    assert (notice.body["calling_ae"], notice.body["ended"]) == ("STOW-RS", "released")


async def test_a_single_part_is_enough(world):
    async with serving(world) as client:
        status, _ = await post(client, part10(), "/studies/1.2.3", "application/dicom")
    assert (status, len(kept(world))) == (200, 1)


async def test_dicomweb_client_stores_and_reads_the_answer(world):
    async with serving(world) as client:
        url = str(client.make_url("")).rstrip("/")
        datasets = [dcmread(BytesIO(part10(f"1.2.3.{number}"))) for number in range(4, 8)]
        answer = await asyncio.to_thread(DICOMwebClient(url).store_instances, datasets)
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [
        f"1.2.3.{number}" for number in range(4, 8)
    ]
    assert len(kept(world)) == 4


async def test_curl_sends_a_file(world, tmp_path):
    file = tmp_path / "one.dcm"
    file.write_bytes(part10())
    async with serving(world) as client:
        process = await asyncio.create_subprocess_exec(
            "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/dicom",
            "--data-binary", f"@{file}", str(client.make_url("/studies")), stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
    assert (out, len(kept(world))) == (b"200", 1)


async def test_the_same_instance_twice_is_kept_once_and_another_of_its_uid_is_refused(world):
    other = part10("1.2.3.4", pixels=b"\7\7" * 512)
    async with serving(world) as client:
        assert (await post(client, multipart(part10(), part10())))[0] == 200
        status, module = await post(client, multipart(part10(), other))
    assert (status, reasons(module)) == (202, [0x0111])
    assert len(kept(world)) == 2  # once a request


async def test_an_instance_of_another_study_is_refused(world):
    async with serving(world) as client:
        status, module = await post(client, multipart(part10()), "/studies/1.9.9")
        assert (status, reasons(module)) == (409, [0xA900])
        assert (await post(client, multipart(part10()), "/studies/..%2f..%2fetc"))[0] == 400
    assert kept(world) == []


async def test_header_and_dataset_of_different_instances_are_refused(world):
    lying = part10("1.2.3.4").replace(b"1.2.3.4\0", b"1.2.3.9\0", 1)
    async with serving(world) as client:
        status, module = await post(client, multipart(lying, part10("1.2.3.5")))
    assert (status, reasons(module), uids(module, "00081199")) == (202, [0xA900], ["1.2.3.5"])


async def test_what_is_no_dicom_fails_without_a_name(world):
    async with serving(world) as client:
        status, module = await post(client, multipart(b"PK\3\4 not an image"))
    assert (status, reasons(module, "0008119A")) == (409, [0xC000])


async def test_a_cut_off_dataset_is_kept_with_a_warning(world):
    async with serving(world) as client:
        status, module = await post(client, multipart(part10()[:-100]))
    assert (status, module["00081199"]["Value"][0]["00081196"]["Value"]) == (202, [0xB007])
    ((entry, data),) = kept(world)
    assert data == dataset()[:-100]
    assert "more than there are" in entry.parameters["flaw"]


@pytest.mark.parametrize(
    ("body", "status", "whole"),
    [
        (multipart(part10(), closed=False), 400, 0),
        (multipart(part10("1.2.3.4"), part10("1.2.3.5"))[:-400], 400, 1),
        (b"", 400, 0),
        (b"no boundary at all", 400, 0),
        (b"--cut\r\n" + b"X-Long: " + b"a" * 20_000, 400, 0),
        (b"x" * 40_000, 413, 0),
        (b"--cut garbage\r\n\r\n", 400, 0),
        (multipart(part10(), b"0" * 6000), 413, 1),
    ],
)
async def test_broken_bodies_keep_what_came_whole_and_say_so(world, body, status, whole):
    async with serving(world, Stow(open=True, max_instance=Bytes(5000))) as client:
        answered, module = await post(client, body)
    assert (answered, len(uids(module, "00081199"))) == (status, whole)
    assert len(kept(world)) == whole


async def test_a_client_that_goes_away_leaves_what_came_whole(world):
    async with serving(world) as client:
        _, writer = await asyncio.open_connection(client.host, client.port)
        body = multipart(part10("1.2.3.4"), part10("1.2.3.5"))
        head = f"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body[:-300])
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.close()
        await writer.wait_closed()
        for _ in range(50):
            if notices(world):
                break
            await asyncio.sleep(0.05)
    assert [notice.body["ended"] for notice in notices(world)] == ["aborted"]
    assert len(kept(world)) == 1


async def test_a_silent_sender_is_let_go(world):
    async def slow():
        yield b"--cut\r\n"
        await asyncio.sleep(5)

    async with serving(world, Stow(open=True, idle_timeout=Seconds(0.2))) as client:
        assert (await post(client, slow()))[0] == 408


async def test_too_many_at_once_are_asked_to_wait(world):
    async with serving(world, Stow(open=True, max_requests=0)) as client:
        assert (await post(client, multipart(part10())))[0] == 503


async def test_a_full_disk_asks_to_wait(world):
    world.spool._budget = type(world.spool._budget)(10**18)
    async with serving(world) as client:
        status, module = await post(client, multipart(part10()))
    assert (status, reasons(module)) == (503, [0xA700])


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        'multipart/related; type="application/dicom+json"; boundary=cut',
        "multipart/mixed",
        "",
    ],
)
async def test_other_media_types_are_refused(world, kind):
    async with serving(world) as client:
        assert (await post(client, multipart(part10()), kind=kind))[0] == 415


async def test_attack_04_a_body_that_unfolds_is_refused_unread(world):
    async with serving(world) as client:
        for coding, folded in (("gzip", gzip.compress), ("deflate", zlib.compress)):
            headers = {"Content-Type": TYPE, "Content-Encoding": coding}
            response = await client.post("/studies", data=folded(multipart(part10())), headers=headers)
            assert (response.status, response.headers["Accept-Encoding"]) == (415, "identity")
        twice = CIMultiDict(
            [("Content-Type", TYPE), *(("Content-Encoding", one) for one in ("identity", "gzip"))]
        )
        response = await client.post("/studies", data=gzip.compress(multipart(part10())), headers=twice)
        assert response.status == 415
        plain = {"Content-Encoding": "identity"}
        assert (await post(client, multipart(part10()), **plain))[0] == 200
    assert len(kept(world)) == 1


async def test_nobody_may_send_unless_told(world):
    async with serving(world, Stow()) as client:
        assert (await post(client, multipart(part10())))[0] == 403


async def test_tokens_and_addresses_tell_senders_apart(world, tmp_path):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef-secret\n")
    known = Sender("PACS", priority="urgent", charset="GB18030", institution="East", token=token)
    async with serving(world, Stow(), Ingest(senders=(known, Sender("CT1")))) as client:
        response = await client.post("/studies", data=b"", headers={"Content-Type": TYPE})
        assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")
        for wrong in ("Bearer wrong", "Basic 0123456789abcdef-secret", "Bearer"):
            assert (await post(client, multipart(part10()), Authorization=wrong))[0] == 401
        good = "Bearer 0123456789abcdef-secret"
        assert (await post(client, multipart(part10()), Authorization=good))[0] == 200
    ((entry, _),) = kept(world)
    assert (entry.calling_ae, entry.parameters["institution"]) == ("PACS", "East")
    assert {item.priority for item in await world.spool.waiting()} == {Priority.URGENT}
    here = Ingest(senders=(Sender("BY-ADDRESS", "127.0.0.0/8"), Sender("AWAY", "192.0.2.1")))
    async with serving(world, Stow(), here) as client:
        assert (await post(client, multipart(part10("1.2.3.8"))))[0] == 200
    assert kept(world)[-1][0].calling_ae == "BY-ADDRESS"


def test_a_bad_token_file_is_told(world, tmp_path):
    with pytest.raises(UsageError, match="none"):
        stow_app(world.spool, world.clock, Stow(), Ingest(senders=(Sender("A", token=tmp_path / "none"),)))
    (tmp_path / "short").write_text("abc")
    with pytest.raises(ConfigError, match="at least 16"):
        stow_app(world.spool, world.clock, Stow(), Ingest(senders=(Sender("A", token=tmp_path / "short"),)))


async def test_a_boundary_inside_a_longer_word_does_not_cut(world):
    tricky = part10("1.2.3.4", pixels=b"\r\n--cutter\r\n" + b"\0" * 1012)
    async with serving(world) as client:
        status, _ = await post(client, multipart(tricky))
    assert status == 200
    assert kept(world)[0][1] == split(tricky).dataset


async def test_every_shared_file_is_answered(world):
    files = [file for file in shared_files() if file.stat().st_size < 200_000][::7]
    if not files:
        pytest.skip("no ../shared/data here")
    async with serving(world) as client:
        for file in files:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                status, _ = await post(client, multipart(file.read_bytes()))
            assert status in (200, 202, 409), file
    assert len(kept(world)) > len(files) // 2


@pytest.fixture
def certified(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = tmp_path / "stow.crt", tmp_path / "stow.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


async def test_tls_with_and_without_the_senders_certificate(world, certified):
    certificate, key = certified
    trusting = ssl.create_default_context(cafile=certificate)
    for client_ca, shown, answered in (
        (None, False, True),
        (certificate, False, False),
        (certificate, True, True),
    ):
        server = TestServer(stow_app(world.spool, world.clock, OPEN, NOBODY))
        await server.start_server(ssl=web_tls(DicomTls(certificate, key, client_ca)))
        if shown:
            trusting.load_cert_chain(certificate, key)
        url = f"https://127.0.0.1:{server.port}/studies"
        async with ClientSession() as session:
            try:
                response = await session.post(
                    url, data=part10(), headers={"Content-Type": "application/dicom"}, ssl=trusting
                )
                assert (response.status, answered) == (200, True)
            except ClientError:
                assert not answered
        await server.close()
    with pytest.raises(UsageError, match=r"acquire\.stow\.tls"):
        web_tls(DicomTls(certificate / "none", key))
    assert web_tls(None) is None
