"""``telerad certs``: the certificate authority on the command line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cryptography import x509

from certs import revocation, rollover
from certs.authority import Authority, Issuer, generations
from gateway.clock import SystemClock, rfc3339
from gateway.errors import UsageError
from gateway.trust import read_certificates, spki_pin

EXAMPLES = """examples:
  telerad certs init --dir pki --organisation "Mountain Teleradiology"
  telerad certs show --dir pki
  telerad certs crl --dir pki                       renew the revocation lists (root.crl needs root.key)
  telerad certs new-root --dir pki                  step 1 of changing the root: edges learn to trust both
  telerad certs new-issuer --dir pki --ca device    a new device CA, under the newest root
  telerad certs revoke --dir pki --serial 5f3a… --why "left the practice"

Keep root.key away from the hub once `init` has run: copy the folder, and leave root.key out.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Make and keep the private certificate authority."""
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    init = _action(actions, "init", "make the root and the issuing authorities in a new folder", _init)
    init.add_argument("--organisation", default="Teleradiology", help="stands in every certificate")
    _action(actions, "show", "what the folder holds, until when, and the root's pin", _show)
    _action(actions, "pin", "print the root's pin, which an edge is given to enrol with", _pin)
    crl = _action(actions, "crl", "bring the revocation lists up to date", _crl)
    crl.add_argument("--ca", choices=[name.value for name in Issuer], help="only this one")
    root = _action(actions, "new-root", "make the next root; edges are told of it by their hubs", _new_root)
    _add_key(root)
    issuer = _action(
        actions, "new-issuer", "make a new issuing authority, under the newest root", _new_issuer
    )
    issuing = [name.value for name in Issuer if name is not Issuer.ROOT]
    issuer.add_argument("--ca", choices=issuing, action="append", help="which (default: all)")
    _add_key(issuer)
    revoke = _action(actions, "revoke", "put a certificate on its revocation list, for good", _revoke)
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("--serial", help="hexadecimal serial number of a certificate issued here")
    which.add_argument("--file", type=Path, help="the certificate, PEM")
    revoke.add_argument("--why", default="", help="kept beside the serial number")


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str, run: object
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=summary, description=summary)
    parser.add_argument("--dir", type=Path, required=True, metavar="PKI", help="folder of the authority")
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.set_defaults(run=run)
    return parser


def _init(arguments: argparse.Namespace) -> int:
    authority = Authority.create(arguments.dir, SystemClock(), arguments.organisation)
    if arguments.json:
        print(json.dumps({"dir": str(arguments.dir), "pin": spki_pin(authority.root)}))
    else:
        print(f"made the authority in {arguments.dir}")
        print(f"its root's pin is {spki_pin(authority.root)}")
        print(f"move {arguments.dir / 'root.key'} to a disk that is kept in a safe; the hub works without it")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    authority = Authority.open(arguments.dir, SystemClock())
    rows = [_row(authority, name) for name in Issuer]
    if arguments.json:
        print(json.dumps({"pin": spki_pin(authority.root), "authorities": rows}, ensure_ascii=False))
        return 0
    print(f"pin of the root: {spki_pin(authority.root)}")
    for row in rows:
        key = "key here" if row["key"] else "key elsewhere"
        print(
            f"{row['name']:<10} {row['subject']}  until {row['not_after']}  {key},"
            f" {row['issued']} issued, {row['revoked']} revoked"
        )
    return 0


def _row(authority: Authority, name: Issuer) -> dict[str, object]:
    certificate = authority.certificate(name)
    return {
        "name": name.value,
        "subject": certificate.subject.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "not_after": rfc3339(certificate.not_valid_after_utc),
        "key": (authority.folder / f"{authority.generation(name)}.key").exists(),
        "generation": authority.generation(name),
        "issued": sum(1 for _ in (authority.folder / "issued").glob(f"{name.value}*/*.pem")),
        "revoked": sum(
            len(revocation.serials(authority.folder, stem))
            for stem in generations(authority.folder, name.value)
        ),
    }


def _pin(arguments: argparse.Namespace) -> int:
    pin = spki_pin(Authority.open(arguments.dir, SystemClock()).root)
    print(json.dumps({"pin": pin}) if arguments.json else pin)
    return 0


def _add_key(parser: argparse.ArgumentParser) -> None:
    words = "take this key of a token instead of a file: pkcs11:token=…;object=…?module-path=…&pin-source=…"
    parser.add_argument("--key", metavar="URI", help=words)


def _new_root(arguments: argparse.Namespace) -> int:
    stem = rollover.new_root(arguments.dir, SystemClock(), arguments.key)
    if arguments.json:
        print(json.dumps({"made": [stem]}))
        return 0
    print(f"made {arguments.dir / stem}.pem; running hubs tell their edges of it within the hour")
    print("when `telerad hub edge list` shows it at every edge, run `telerad certs new-issuer`")
    return 0


def _new_issuer(arguments: argparse.Namespace) -> int:
    names = arguments.ca or [name.value for name in Issuer if name is not Issuer.ROOT]
    if arguments.key and len(names) != 1:
        raise UsageError("--key is for one authority: name it with --ca")
    made = [rollover.new_issuer(arguments.dir, SystemClock(), Issuer(name), arguments.key) for name in names]
    if arguments.json:
        print(json.dumps({"made": made}))
    else:
        print(f"made {', '.join(made)}; running hubs issue with them from now on")
    return 0


def _crl(arguments: argparse.Namespace) -> int:
    authority = Authority.open(arguments.dir, SystemClock())
    names = [Issuer(arguments.ca)] if arguments.ca else list(Issuer)
    lists = []
    for name in names:
        authority.crls(name)
        for stem in generations(arguments.dir, name.value):
            signed = x509.load_der_x509_crl((arguments.dir / f"{stem}.crl").read_bytes())
            until = rfc3339(signed.next_update_utc) if signed.next_update_utc else ""
            file = str(arguments.dir / f"{stem}.crl")
            lists.append({"name": stem, "file": file, "until": until, "revoked": len(signed)})
    if arguments.json:
        print(json.dumps(lists))
    else:
        for one in lists:
            print(f"{one['file']}: {one['revoked']} revoked, good until {one['until']}")
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    authority = Authority.open(arguments.dir, SystemClock())
    certificate = read_certificates(arguments.file or _issued(arguments.dir, arguments.serial))[0]
    new = authority.revoke(certificate, arguments.why)
    for name in Issuer:
        if certificate.issuer in [one.subject for one in authority.every(name)]:
            authority.crls(name)
    said = "revoked" if new else "was revoked already"
    serial = f"{certificate.serial_number:x}"
    print(json.dumps({"serial": serial, "new": new}) if arguments.json else f"{serial} {said}")
    return 0


def _issued(folder: Path, serial: str) -> Path:
    wanted = serial.lower().removeprefix("0x").replace(":", "").lstrip("0")
    for file in (folder / "issued").glob("*/*.pem"):
        if file.stem == wanted:
            return file
    raise UsageError(f"no certificate with the serial number {serial} was issued by {folder}")
