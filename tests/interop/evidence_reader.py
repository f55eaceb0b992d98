"""A reader of a study's evidence made from gateway/custody/EVIDENCE.md and FORMAT.md alone (by way of
tge1_reader.py, which is made so too). Imports nothing of the gateway. Reports are only compared by digest here.

usage: evidence_reader.py EVIDENCE ROOT.pem        prints the SHA-256 of every image that is vouched for
"""

import base64
import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

sys.path.insert(0, str(Path(__file__).parent))
from tge1_reader import HUB_USAGE, Refused, canonical, demand, open_header, open_receipt, open_statement, sha

DEVICE_USAGE = "1.3.6.1.5.5.7.3.2"


def b64(text):
    return base64.b64decode(text, validate=True)


def claimed(statement, key):
    """The time a statement states itself, before it is believed."""
    return datetime.fromisoformat(json.loads(b64(json.loads(statement)["payload"]))[key])


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def included(leaf, index, size, proof):
    """RFC 9162 §2.1.3.2: the root that this proof leads to."""
    place, last, digest = index, size - 1, hashlib.sha256(b"\0" + leaf).digest()
    for other in proof:
        if place % 2 or place == last:
            digest = node(other, digest)
            while place and not place % 2:
                place, last = place // 2, last // 2
        else:
            digest = node(digest, other)
        place, last = place // 2, last // 2
    demand(last == 0, "length of an inclusion proof")
    return digest


def grew(old, old_root, size, proof):
    """RFC 9162 §2.1.4.2: the roots that a consistency proof leads to; both must be the known ones."""
    if old == size:
        return old_root, old_root
    path = ([old_root] if old & (old - 1) == 0 else []) + proof
    place, last = old - 1, size - 1
    while place % 2:
        place, last = place // 2, last // 2
    before = after = path[0]
    for other in path[1:]:
        if place % 2 or place == last:
            before, after = node(other, before), node(other, after)
            while place and not place % 2:
                place, last = place // 2, last // 2
        else:
            after = node(after, other)
        place, last = place // 2, last // 2
    return before, after


def open_key(statement, kind, usage, root):
    payload, uri, _ = open_statement(statement, kind, root, usage, claimed(statement, "at"))
    name, _, key = canonical(payload, "version key at")["key"].split("+", 2)
    demand(b64(key)[:1] == b"\1", "type of a key")
    return name, b64(key)[1:], uri


def open_note(note, name, public):
    text, _, lines = note.partition(b"\n\n")
    text += b"\n"
    signature = b64(lines.decode().split("\n")[0].split(" ")[2])
    demand(signature[:4] == hashlib.sha256(name.encode() + b"\n\1" + public).digest()[:4], "key of the note")
    Ed25519PublicKey.from_public_bytes(public).verify(signature[4:], text)
    origin, size, log_root, _ = text.decode().split("\n")
    return text, origin, int(size), b64(log_root)


def open_evidence(data, root):
    """SHA-256 of every image, the events of the log, the witnesses' names."""
    told = canonical(data, "version study log_key log witnesses parcels reports")
    study = told["study"]
    name, public, _ = open_key(b64(told["log_key"]), "custody-log-key", HUB_USAGE, root)
    log = canonical(b64(told["log"]), "version checkpoint entries")
    _, _, size, log_root = open_note(b64(log["checkpoint"]), name, public)
    entries = []
    for entry in log["entries"]:
        leaf = b64(entry["leaf"])
        demand(included(leaf, entry["position"], size, list(map(b64, entry["proof"]))) == log_root, "root")
        entries.append(canonical(leaf, "position event at site subject detail"))
        demand(entries[-1]["position"] == entry["position"], "position")
    demand(told["version"] == log["version"] == 1, "version")
    held, uid = set(), study["study_uid"]
    for parcel in told["parcels"]:
        signed, manifest = b64(parcel["header"]), b64(parcel["manifest"])
        header, digest = open_header(signed, root, claimed(signed, "created_at"))
        demand(sha(manifest) == header["manifest_sha256"], "manifest")
        shared = " shared" * ("shared" in json.loads(manifest))
        inner = canonical(manifest, "version site blind instances notices" + shared)
        demand(header["site"] == inner["site"] == study["site"], "site")
        receipt = open_receipt(b64(parcel["receipt"]), root, claimed(b64(parcel["receipt"]), "received_at"))
        for one, theirs in zip(inner["instances"], receipt["instances"], strict=True):
            one.setdefault("sha256", theirs["sha256"])  # where the edge took BLAKE3, the hub took this
            demand(theirs.items() <= one.items() and theirs.keys() >= one.keys() & {"blake3"}, "receipt")
        demand(receipt["header_digest"] == digest, "receipt")
        stored = [e["detail"] for e in entries if (e["event"], e["subject"]) == ("parcel-stored", digest)]
        named = [one["sha256"] for one in inner["instances"]]
        demand(named in [detail["instances"] for detail in stored], "stored")
        mine = [one for one in inner["instances"] if one["study_uid"] == uid]
        demand(mine, "a parcel of another study")
        held |= {(one["sop_instance_uid"], one["sha256"], one["length"]) for one in mine}
    listed = {(one["sop_instance_uid"], one["sha256"], one["length"]) for one in study["instances"]}
    demand(listed and listed == held, "list of instances")
    said = [e["detail"] for e in entries if e["subject"] == study["subject"] and "study" in e["detail"]]
    bound = sha(f"{study['salt']}\n{study['site']}\n{uid}\n".encode())
    demand(all(detail["study"] == bound for detail in said), "study of the entries")
    images = "".join(f"{one}\n" for one in sorted({one["sha256"] for one in study["instances"]}))
    complete = bool(said) and said[-1]["images"] == sha(images.encode())
    signed_reports = {e["detail"]["pdf_sha256"] for e in entries if e["event"] == "report-signed"}
    demand(all(sha(b64(one["pdf"])) in signed_reports for one in told["reports"]), "report")
    seen = []
    for witness in told["witnesses"]:
        who, key, uri = open_key(b64(witness["key"]), "custody-witness-key", DEVICE_USAGE, root)
        text, _, old, old_root = open_note(b64(witness["note"]), name, public)
        signature = b64(witness["line"].split(" ")[2])
        demand(signature[:4] == hashlib.sha256(who.encode() + b"\n\4" + key).digest()[:4], "witness key")
        said = f"cosignature/v1\ntime {int.from_bytes(signature[4:12], 'big')}\n".encode() + text
        Ed25519PublicKey.from_public_bytes(key).verify(signature[12:], said)
        latest = datetime.fromtimestamp(int.from_bytes(signature[4:12], "big") + 600, UTC)
        times = [datetime.fromisoformat(e["at"]) for e in entries if e["position"] < old]
        demand(all(time <= latest for time in times), "an entry younger than its witness")
        demand(grew(old, old_root, size, list(map(b64, witness["proof"]))) == (old_root, log_root), "growth")
        seen.append(uri)
    return [one["sha256"] for one in study["instances"]], [e["event"] for e in entries], seen, complete


if __name__ == "__main__":
    authority = x509.load_pem_x509_certificate(Path(sys.argv[2]).read_bytes())
    try:
        print("\n".join(open_evidence(Path(sys.argv[1]).read_bytes(), authority)[0]))
    except Refused as refused:
        sys.exit(f"refused: {refused}")
