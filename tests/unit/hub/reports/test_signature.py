from __future__ import annotations

import asyncio
import dataclasses
import io
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.generic import NumberObject, StreamObject, pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.writer import PageObject

from gateway.errors import DataError, Unverified
from gateway.report.pdf_signature import read
from gateway.trust import fingerprint
from hub.reports.document import draw
from hub.reports.signature import finish, prepare, sign
from hub.reports.verify import verify_pdf
from tests.doubles.report import CHINESE, ENGLISH
from tests.doubles.signed import LETTERHEAD, authored, authority, reader, signed
from tests.doubles.small_authority import SmallAuthority


def now() -> datetime:
    return datetime.now(UTC)


def test_who_signed_when_and_what() -> None:
    found = read(signed(), authority().trust, now())
    assert found.report == authored()
    assert found.signer.name == "Dr. Wei Lin"
    assert found.signer.email == "wei@example.org"
    assert timedelta(0) <= now() - found.signed_at < timedelta(hours=2)  # made once for the whole run
    assert found.root == authority().root.certificate


def test_the_verdict_says_it_in_sentences() -> None:
    verdict = verify_pdf(signed(), authority().trust, now())
    assert verdict.ok
    assert verdict.lines[0].startswith("Signed by Dr. Wei Lin <wei@example.org> at 20")
    assert verdict.facts["canonical_sha256"] == authored().digest
    assert verdict.facts["certificate_sha256"] == fingerprint(reader().chain[0])


def test_it_still_holds_years_later_when_every_certificate_but_the_root_has_expired() -> None:
    later = now() + timedelta(days=9 * 365)
    assert read(signed(), authority().trust, later).report == authored()


def test_the_key_may_live_elsewhere() -> None:
    async def two_phases() -> bytes:
        whole, material = authored(ENGLISH), authority().material()
        prepared = await prepare(draw(whole, LETTERHEAD), whole, reader().chain, material)
        return await finish(prepared, reader().sign(prepared.to_sign), material)

    assert read(asyncio.run(two_phases()), authority().trust, now()).report == authored(ENGLISH)


def test_another_root_is_not_trusted() -> None:
    verdict = verify_pdf(signed(), SmallAuthority("Other").trust, now())
    assert not verdict.ok
    assert "signature does not hold" in verdict.lines[0]


def first_revision(data: bytes) -> int:
    """Where the revision ends that the person signed; later ones hold validation data and time-stamps."""
    return data.index(b"%%EOF", data.index(b"/ETSI.CAdES.detached")) + 5


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_is_refused_or_changes_nothing(place: int, change: int) -> None:
    data = bytearray(signed(ENGLISH))
    place %= len(data)
    data[place] ^= change
    try:
        found = read(bytes(data), authority().trust, now())
    except DataError:
        return
    # Some bytes mean nothing: the padding after a CMS object, comments between revisions.
    assert found.report == authored(ENGLISH)
    contents = signed(ENGLISH).index(b"/Contents <")
    assert place >= first_revision(signed(ENGLISH)) or contents < place < contents + 33_000


def test_flipped_bytes_of_what_was_signed_are_refused() -> None:
    data = signed(ENGLISH)
    end = data.index(b"/Contents <")
    for place in random.Random(4).sample(range(end), 40):
        flipped = bytearray(data)
        flipped[place] ^= 1
        with pytest.raises(DataError):
            read(bytes(flipped), authority().trust, now())


def _rotate_page(writer: IncrementalPdfFileWriter) -> None:
    page = writer.root["/Pages"]["/Kids"][0]
    page[pdf_name("/Rotate")] = NumberObject(180)
    writer.update_container(page)


def _draw_over_page(writer: IncrementalPdfFileWriter) -> None:
    content = writer.add_object(StreamObject(stream_data=b"1 0 0 rg 0 0 600 400 re f"))
    writer.add_stream_to_page(0, content)


def _add_page(writer: IncrementalPdfFileWriter) -> None:
    content = writer.add_object(StreamObject(stream_data=b"1 0 0 rg 0 0 600 400 re f"))
    writer.insert_page(PageObject(contents=content, media_box=(0, 0, 600, 400)))


def _replace_attachment(writer: IncrementalPdfFileWriter) -> None:
    place = writer.root["/Names"]["/EmbeddedFiles"]["/Names"][1]["/EF"]
    other = StreamObject(stream_data=authored(ENGLISH).to_bytes())
    other[pdf_name("/Type")] = pdf_name("/EmbeddedFile")
    place[pdf_name("/F")] = writer.add_object(other)
    writer.update_container(place)


@pytest.mark.parametrize("change", [_rotate_page, _draw_over_page, _add_page, _replace_attachment])
def test_attack_26_an_incremental_update_is_refused(
    change: Callable[[IncrementalPdfFileWriter], None],
) -> None:
    writer = IncrementalPdfFileWriter(io.BytesIO(signed()))
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    assert out.getvalue().startswith(signed())
    with pytest.raises(Unverified, match="changed after it was signed"):
        read(out.getvalue(), authority().trust, now())


def test_an_unsigned_report_and_rubbish_are_refused() -> None:
    for data in (draw(authored(), LETTERHEAD), b"%PDF-1.7\nrubbish", b"rubbish", b""):
        with pytest.raises(DataError):
            read(data, authority().trust, now())


def test_a_signature_by_another_key_than_the_author_s_is_refused() -> None:
    other = authority().person("Dr. Mallory", "mallory@example.org")
    whole = authored()  # names the certificate of Dr. Wei Lin
    forged = asyncio.run(sign(draw(whole, LETTERHEAD), whole, other, authority().material()))
    with pytest.raises(Unverified, match="another certificate"):
        read(forged, authority().trust, now())


def test_a_signature_made_with_the_wrong_key_is_refused() -> None:
    whole, other = authored(), authority().person("Dr. Mallory", "mallory@example.org")

    class Wrong:
        chain = reader().chain

        def sign(self, data: bytes) -> bytes:
            return other.sign(data)

    forged = asyncio.run(sign(draw(whole, LETTERHEAD), whole, Wrong(), authority().material()))
    with pytest.raises(Unverified):
        read(forged, authority().trust, now())


def test_a_device_cannot_sign_a_report() -> None:
    device = authority().device()
    whole = authored(signer=device)
    crls = [*authority().crls(), authority().devices.crl()]
    material = dataclasses.replace(authority().material(), crls=lambda: crls)
    with pytest.raises(Unverified, match="cannot sign"):
        read(asyncio.run(sign(draw(whole, LETTERHEAD), whole, device, material)), authority().trust, now())


def test_a_revoked_reader_cannot_sign() -> None:
    small = SmallAuthority("Revoking")
    person = small.person()
    whole = authored(CHINESE, person)
    small.people.revoked.append(person.chain[0].serial_number)
    with pytest.raises(Unverified, match="cannot sign"):
        asyncio.run(sign(draw(whole, LETTERHEAD), whole, person, small.material()))


def test_revocation_after_signing_leaves_the_report_valid() -> None:
    small = SmallAuthority("Revoking")
    person = small.person()
    whole = authored(CHINESE, person)
    data = asyncio.run(sign(draw(whole, LETTERHEAD), whole, person, small.material()))
    small.people.revoked.append(person.chain[0].serial_number)
    assert read(data, small.trust, now() + timedelta(days=400)).report == whole
