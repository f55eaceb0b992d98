"""Certificate revocation lists (RFC 5280 §5), one file for each authority.

A revoked certificate is one small file, only ever added; the list is signed from them. A new list
is made when something was revoked since, or when the old one is a day old. Its ``thisUpdate`` is
always later than the last list's, because OpenSSL ignores a list that is not strictly newer.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import canonical, durable, keyfile
from gateway.clock import Clock, parse_rfc3339, rfc3339
from gateway.errors import ResourceError

ISSUER_LIFE = timedelta(days=7)
ROOT_LIFE = timedelta(days=400)
"""The root's key is brought out about once a year."""

FRESH = timedelta(days=1)


def revoke(folder: Path, name: str, certificate: x509.Certificate, clock: Clock, why: str) -> bool:
    """Record that `certificate` of the authority `name` is revoked. Returns False if it was already."""
    record = {"at": rfc3339(clock.now()), "serial": f"{certificate.serial_number:x}", "why": why}
    try:
        durable.create(_folder(folder, name) / f"{record['serial']}.json", canonical.dump(record))
    except FileExistsError:
        return False
    return True


def serials(folder: Path, name: str) -> dict[int, datetime]:
    """Serial numbers revoked by the authority `name`, and when."""
    records = [canonical.load(file.read_bytes()) for file in _folder(folder, name).glob("*.json")]
    return {int(record["serial"], 16): parse_rfc3339(record["at"]) for record in records}


def current(folder: Path, name: str, authority: x509.Certificate, clock: Clock) -> bytes:
    """The list that is valid now, made anew where needed and possible.

    Raises:
        ResourceError: a new one is needed and the authority's key is not here.
    """
    file, now, revoked = folder / f"{name}.crl", clock.now(), serials(folder, name)
    last = _read(file)
    if last is not None and _still_good(last, now, revoked):
        return last.public_bytes(Encoding.DER)
    key = folder / f"{name}.key"
    if not key.exists():
        if last is not None and _valid(last, now) and _covers(last, revoked):
            return last.public_bytes(Encoding.DER)
        raise ResourceError(
            f"the revocation list {file} is out of date and {key.name} is not here; run `telerad certs crl`"
            f" where it is, and copy {file.name} back"
        )
    signed = _sign(last, authority, key, now, revoked)
    durable.replace(file, signed, mode=0o644)
    return signed


def until(folder: Path, name: str) -> datetime | None:
    """When the stored list of the authority `name` ends; None if there is none."""
    last = _read(folder / f"{name}.crl")
    return None if last is None else last.next_update_utc


def _sign(
    last: x509.CertificateRevocationList | None,
    authority: x509.Certificate,
    key: Path,
    now: datetime,
    revoked: dict[int, datetime],
) -> bytes:
    update = now if last is None else max(now, last.last_update_utc + timedelta(seconds=1))
    life = ROOT_LIFE if authority.issuer == authority.subject else ISSUER_LIFE
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(update)
        .next_update(update + life)
        .add_extension(x509.CRLNumber(int(update.timestamp())), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    )
    for serial, at in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(keyfile.load_p256(key), hashes.SHA256()).public_bytes(Encoding.DER)


def _folder(folder: Path, name: str) -> Path:
    return folder / "revoked" / name


def _read(file: Path) -> x509.CertificateRevocationList | None:
    return x509.load_der_x509_crl(file.read_bytes()) if file.exists() else None


def _still_good(last: x509.CertificateRevocationList, now: datetime, revoked: dict[int, datetime]) -> bool:
    return _valid(last, now) and _covers(last, revoked) and now - last.last_update_utc < FRESH


def _valid(last: x509.CertificateRevocationList, now: datetime) -> bool:
    return last.next_update_utc is not None and now < last.next_update_utc


def _covers(last: x509.CertificateRevocationList, revoked: dict[int, datetime]) -> bool:
    return {entry.serial_number for entry in last} == set(revoked)
