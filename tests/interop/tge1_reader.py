"""A TGE1 reader made from FORMAT.md alone. usage: tge1_reader.py HEADER BODY KEY.pem ROOT.pem FOLDER"""

import base64
import hashlib
import hmac
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from blake3 import blake3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key

sys.path.append(str(Path(__file__).parent))
from segments import Refused, demand, read_segments, unzstd  # noqa: F401  # Refused: for who imports this

KEMS = {"P256": "HPKE-P256-HKDF256-A256GCM", "MLKEM768-X25519": "HPKE-MLKEM768X25519-HKDF256-A256GCM"}
HPKE_KEMS = {"P256": hpke.KEM.P256, "MLKEM768-X25519": hpke.KEM.MLKEM768_X25519}
HUB_USAGE = "2.25.273113225154497621292147379569749007195"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def canonical(data, keys, optional=""):
    value = json.loads(data)
    again = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    demand(again.encode() == data, "JSON is not canonical")
    demand(set(value) - set(optional.split()) == set(keys.split()), "wrong keys")
    return value


def open_statement(data, kind, root, usage, at):
    """The payload, the signer's URI name and the digest."""
    fields = canonical(data, "chain kind payload signature", "second_signature")
    demand(fields["kind"] == kind, "kind")
    payload = base64.b64decode(fields["payload"])
    chain = [x509.load_der_x509_certificate(base64.b64decode(item)) for item in fields["chain"]]
    for certificate, issuer in zip(chain, [*chain[1:], root], strict=True):
        demand(certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc, "certificate time")
        demand(issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca, "no authority")
        certificate.verify_directly_issued_by(issuer)
    usages = chain[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    demand(usage in [one.dotted_string for one in usages], "certificate usage")
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    pae = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    chain[0].public_key().verify(base64.b64decode(fields["signature"]), pae, ec.ECDSA(hashes.SHA256()))
    second = [one.value.value for one in chain[0].extensions if one.oid.dotted_string == "2.5.29.72"]
    demand(len(second) == ("second_signature" in fields), "second signature")
    for key in map(load_der_public_key, second):
        key.verify(base64.b64decode(fields["second_signature"]), pae)
    return payload, uri, sha(pae)


HEADER = """version suite parcel_id site sequence previous priority created_at wraps salt commitment chunk_size
            plain_size chunks sealed_size sealed_manifest manifest_sha256"""


def open_header(data, root, at):
    payload, uri, digest = open_statement(data, "tge1-header", root, "1.3.6.1.5.5.7.3.2", at)
    header = canonical(payload, HEADER)
    demand(header["version"] == 1 and header["suite"] in KEMS, "version or suite")
    demand(header["priority"] in ("stat", "urgent", "routine", "prior"), "priority")
    demand(len({wrap["kid"] for wrap in header["wraps"]}) == len(header["wraps"]), "same kid twice")
    demand(uri.startswith(f"spiffe://telerad/site/{header['site']}/edge/"), "site")
    demand((header["sequence"] == 1) == (header["previous"] == "0" * 64), "sequence")
    count = max(1, -(-header["plain_size"] // header["chunk_size"]))
    size = header["plain_size"] + 16 * count
    demand((len(header["chunks"]), header["sealed_size"]) == (count, size), "sizes")
    return header, digest


def open_receipt(data, root, at):
    payload, uri, _ = open_statement(data, "tge1-receipt", root, HUB_USAGE, at)
    demand(uri.startswith("spiffe://telerad/hub/"), "hub")
    return canonical(payload, "version parcel_id site sequence header_digest instances received_at")


def expand(key, info, length):
    return HKDFExpand(hashes.SHA256(), length, info).derive(key)


def open_parcel(header, body, keys):
    """Every entry of the manifest with its original bytes, and the notices. `keys`: private keys by kid."""
    suite, fixed = header["suite"].encode(), (header["salt"], header["commitment"])
    salt, commitment = map(base64.b64decode, fixed)
    context = bytes([len(suite)]) + suite + bytes.fromhex(header["parcel_id"])
    wrap = next((one for one in header["wraps"] if one["kid"] in keys), None)
    demand(wrap is not None and wrap["kem"] == KEMS[header["suite"]], "no key wrap for us")
    info = b"telerad/tge1/wrap\0" + salt + context + commitment
    opener = hpke.Suite(HPKE_KEMS[header["suite"]], hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    key = opener.decrypt(base64.b64decode(wrap["wrapped"]), keys[wrap["kid"]], info)
    okm = expand(key, b"telerad/tge1/body/AES-256-GCM\0" + salt + context, 76)
    demand(hmac.compare_digest(okm[44:], commitment) and len(body) == header["sealed_size"], "key or size")
    cipher, base = AESGCM(okm[:32]), int.from_bytes(okm[32:44], "big")
    payload, step, count = bytearray(), header["chunk_size"] + 16, len(header["chunks"])
    for index, digest in enumerate(header["chunks"]):
        sealed = body[index * step : (index + 1) * step]
        demand(sha(sealed) == digest, "chunk digest")
        place = index.to_bytes(8, "big") + bytes([index == count - 1])
        payload += cipher.decrypt((base ^ index).to_bytes(12, "big"), sealed, place)
    okm = expand(key, b"telerad/tge1/manifest/AES-256-GCM\0" + salt + context, 44)
    packed = AESGCM(okm[:32]).decrypt(okm[32:], base64.b64decode(header["sealed_manifest"]), None)
    plain = unzstd(packed[4:], int.from_bytes(packed[:4], "big"))
    demand(sha(plain) == header["manifest_sha256"], "manifest digest")
    has_shared = "shared" in json.loads(plain)
    manifest = canonical(plain, "version site blind instances notices" + " shared" * has_shared)
    has_blake3 = any("blake3" in entry for entry in manifest["instances"])
    demand(
        manifest["version"] == (3 if has_blake3 else 1 + has_shared) and manifest["site"] == header["site"],
        "version or site",
    )
    found, end, shared = [], 0, b""
    if has_shared:
        demand(set(manifest["shared"]) == {"length", "coded_length"}, "keys of the shared stream")
        length, end = manifest["shared"]["length"], manifest["shared"]["coded_length"]
        demand(1 <= length <= 16777216 and 1 <= end <= len(payload), "size of the shared stream")
        shared = unzstd(bytes(payload[:end]), length)
    for entry in manifest["instances"]:
        before, end = end, entry["offset"] + entry["coded_length"]
        demand(entry["offset"] >= before and end <= len(payload), "entries overlap or lie beyond the payload")
        coded = bytes(payload[entry["offset"] : end])
        data = decoded(coded, entry["codec"], entry["length"], shared)
        told, known = {**entry}, {"sha256": sha(data), "blake3": blake3(data).hexdigest()}
        demand({"sha256", "blake3"} & set(told), "no digest")
        demand(len(data) == entry["length"] and told | known == {**known, **told}, "instance digest")
        found.append((entry, data))
    return found, manifest["notices"]


def decoded(coded, codec, length, shared):
    if codec in ("raw", "zstd"):
        return unzstd(coded, length) if codec == "zstd" else coded
    return read_segments(coded, codec, length, shared)


if __name__ == "__main__":
    head, body, key, root, folder = map(Path, sys.argv[1:])
    at, authority = datetime.now(UTC), x509.load_pem_x509_certificate(root.read_bytes())
    header, _ = open_header(head.read_bytes(), authority, at)
    keys = dict.fromkeys([w["kid"] for w in header["wraps"]], load_pem_private_key(key.read_bytes(), None))
    for _, data in open_parcel(header, body.read_bytes()[: header["sealed_size"]], keys)[0]:
        (folder / sha(data)).write_bytes(data)
