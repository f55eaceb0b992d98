"""The edge's part of the DICOM Conformance Statement, told from the tables it works by."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge import verdict
from edge.acquire import made, medium, stow, worklist
from edge.acquire.files import FILE_LIMIT
from edge.config import Committed, EdgeConfig, Sender
from edge.conformance_services import commitment_section, procedures_section
from edge.downlink import deliver_dicom
from edge.ingest import acse, associate, association, desk, listener, wire
from edge.ingest.admission import Rejection
from edge.ingest.commitment import COMMITMENT
from edge.ingest.mpps import MPPS
from edge.ingest.pdu import MAX_PDU, SLACK
from edge.tls import tls_profile
from edge.verdict import READ
from gateway import config
from gateway.conformance.document import Section, Table, simple_table
from gateway.dicom import tags, text, transfer
from gateway.dicom.names import name_of, storage_classes, transfer_syntaxes
from gateway.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

SERVICES = {
    acse.VERIFICATION: "SCP",
    COMMITMENT: "SCP (N-ACTION), and sends N-EVENT-REPORT",
    MPPS: "SCP (N-CREATE, N-SET)",
}


def part(file: Path) -> Section:
    """Of this configuration. Raises ConfigError or UsageError."""
    settings = config.load(file, EdgeConfig)
    return Section(
        f"Edge, AE title {settings.ingest.ae_title}",
        (
            (
                "The edge stands at the hospital. It takes instances from modalities, keeps them encrypted "
                "until its hub has signed for them, and hands signed reports back. Stored bytes never change "
                "(PS3.4 B.4.1, level 2). This statement is generated from the running configuration."
            ),
        ),
        sections=(
            _overview(settings),
            _association(settings),
            _storage(settings),
            commitment_section(settings.ingest),
            procedures_section(),
            _reports(settings),
            _worklist(settings),
            _web(settings),
            _media(),
            _characters(),
            _attributes(),
            _security(settings),
        ),
    )


def taken_syntaxes(settings: EdgeConfig) -> list[str]:
    """Of the standard's transfer syntaxes, those that are accepted for storage."""
    deflated = settings.ingest.accept_deflated
    return [uid for uid in transfer_syntaxes() if deflated or not transfer.encoding(uid).deflated]


def _named(uids: Iterable[str]) -> list[tuple[str, str]]:
    return [(name_of(uid), uid) for uid in uids]


def _overview(settings: EdgeConfig) -> Section:
    rows = [(name_of(uid), uid, role) for uid, role in SERVICES.items()]
    rows.append(("Storage: every storage class of 4.3", "", "SCP"))
    rows += [(f"{name_of(uid)} (signed reports)", uid, "SCU") for uid in deliver_dicom.SOP_CLASSES]
    if settings.acquire.worklist is not None:
        rows.append((name_of(worklist.WORKLIST), worklist.WORKLIST, "SCU"))
    web = [("STOW-RS", "POST", path) for path in stow.RESOURCES] if settings.acquire.stow else []
    return Section(
        "Overview",
        tables=(
            Table.of(("SOP class", "UID", "role"), rows, "Network services"),
            *((Table.of(("service", "method", "resource"), web, "Web services"),) if web else ()),
            Table.of(("medium", "role"), [("any mounted disc or stick, with or without DICOMDIR", "FSR")]),
        ),
    )


def _association(settings: EdgeConfig) -> Section:
    ingest = settings.ingest
    facts = [
        ("application context", associate.APPLICATION_CONTEXT),
        ("implementation class UID", IMPLEMENTATION_CLASS_UID),
        ("implementation version name", IMPLEMENTATION_VERSION_NAME),
        ("called AE title", f"any (open: {ingest.open})" if ingest.open else ingest.ae_title),
        ("listens at", f"{ingest.host}:{ingest.port}"),
        (
            "maximum PDU length",
            f"{MAX_PDU} bytes offered, {SLACK} more are borne; to the sender from {acse.LEAST_LIMIT}",
        ),
        ("associations at once", f"{ingest.max_associations}; per address {listener.per_address(ingest)}"),
        ("presentation contexts", f"at most {associate.CONTEXTS}"),
        ("asynchronous operations window", f"at most {acse.WINDOW} invoked, 1 performed; answered in order"),
        ("SCP/SCU role selection", "not answered: the default roles hold for every SOP class"),
        ("SOP class extended negotiation", f"{associate.STORAGE_SUPPORT.hex(' ')}: level 2, no coercion"),
        ("TLS handshake", f"{association.HANDSHAKE_SECONDS:g} s"),
        ("A-ASSOCIATE-RQ", f"whole {association.ACSE_SECONDS:g} s after it"),
        ("idle association", f"aborted after {association.IDLE_SECONDS:g} s"),
        ("one PDU of an association", f"whole within {wire.PDU_SECONDS:g} s"),
        ("a message under way", f"{wire.PROGRESS_BYTES} bytes in {wire.PROGRESS_SECONDS:g} s at least"),
    ]  # fmt: skip
    rejections = [
        ("permanent", "service user", int(one), one.name.replace("_", " ").lower()) for one in Rejection
    ]
    rejections.append(
        ("transient", "service provider (presentation)", desk.LOCAL_LIMIT, "local limit exceeded")
    )
    senders = [
        (one.ae_title, one.address or "any", one.priority, one.charset or "", _place(one))
        for one in ingest.senders
    ]  # fmt: skip
    return Section(
        "Associations",
        ("The edge accepts associations; it opens them for reports, storage commitment and orders.",),
        (
            Table.of(("what", "value"), facts),
            Table.of(("result", "source", "reason", "meaning"), rejections, "A-ASSOCIATE-RJ"),
            Table.of(
                ("AE title", "address", "priority", "character set", "reports to"), senders, "Known senders"
            ),
        ),
    )


def _place(sender: Sender) -> str:
    same = "the same association"
    return same if sender.report_host is None else f"{same}, else {sender.report_host}:{sender.report_port}"


def _storage(settings: EdgeConfig) -> Section:
    return Section(
        "Storage SCP",
        (
            (
                "Every storage class is accepted in every transfer syntax below that is proposed; private "
                "storage classes, those younger than this program and private transfer syntaxes too. "
                "Success means that the instance is durable on the edge."
            ),
        ),
        (
            Table.of(("transfer syntax", "UID"), _named(taken_syntaxes(settings))),
            Table.of(("SOP class", "UID"), _named(storage_classes(acse.is_storage))),
            simple_table(verdict.__doc__ or "", "C-STORE statuses"),
            Table.of(
                ("transfer syntax", "UID"), _named(acse.SERVICE_SYNTAXES), "Of verification and DIMSE-N"
            ),
        ),
    )


def _reports(settings: EdgeConfig) -> Section:
    wanted = [one for one in settings.destinations if one.kind.value == "dicom"]
    return Section(
        "Report SCU",
        ("Signed reports are sent by C-STORE to every configured PACS, again and again until it answers.",),
        (
            Table.of(("SOP class", "UID"), _named(deliver_dicom.SOP_CLASSES)),
            Table.of(("transfer syntax", "UID"), _named(map(str, deliver_dicom.SYNTAXES))),
            Table.of(
                ("destination", "AE title", "address"),
                [(one.name, one.ae_title or "", f"{one.host}:{one.port}") for one in wanted],
            ),
        ),
    )


def _worklist(settings: EdgeConfig) -> Section:
    """Modality worklist SCU as configured."""
    found, title = settings.acquire.worklist, "Modality worklist SCU"
    if found is None:
        return Section(title, ("Off in this configuration (acquire.worklist).",))
    facts = [
        ("asks", f"{found.ae_title} at {found.host}:{found.port}, every {float(found.poll):g} s"),
        ("matching key", f"{worklist.MATCHED}: {found.days} days before today to {found.days} after"),
        ("orders kept", f"at most {worklist.MOST}; those heard last while nobody answers"),
        ("character set asked in", "ISO_IR 192; answers as they declare"),
        ("DICOM TLS", "on" if found.tls else "off in this configuration (acquire.worklist.tls)"),
    ]
    keys = [(word, "") for word in worklist.ORDER] + [(word, "in the step") for word in worklist.STEP]
    return Section(
        title,
        ("Orders are offered on the edge's page for what is imported there; modalities ask the RIS itself.",),
        (
            Table.of(("SOP class", "UID"), _named([worklist.WORKLIST])),
            Table.of(("transfer syntax", "UID"), _named(worklist.SYNTAXES)),
            Table.of(("what", "value"), facts),
            Table.of(("return key", ""), keys),
        ),
    )


def _web(settings: EdgeConfig) -> Section:
    found = settings.acquire.stow
    if found is None:
        return Section("STOW-RS", ("Off in this configuration (acquire.stow).",))
    facts = [
        ("listens at", f"{found.host}:{found.port}"),
        ("TLS", "on" if found.tls else "off"),
        ("media type", f"{stow.DICOM}, alone or in multipart/related"),
        ("one instance", f"at most {int(found.max_instance)} bytes"),
        ("requests at once", found.max_requests),
    ]
    return Section(
        "STOW-RS",
        tables=(
            Table.of(("method", "resource"), [("POST", path) for path in stow.RESOURCES]),
            Table.of(("what", "value"), facts),
            simple_table(stow.__doc__ or "", "Statuses"),
        ),
    )


def _media() -> Section:
    facts = [
        (
            medium.DIRECTORY,
            "followed if there is one and not trusted: file IDs are looked up among what is there",
        ),
        ("file ID", f"at most {medium.COMPONENTS} components"),
        ("one file", f"at most {FILE_LIMIT} bytes"),
        ("SOP classes and transfer syntaxes", "as Storage SCP"),
    ]
    return Section(
        "Media and non-DICOM import",
        tables=(
            Table.of(("what", "value"), facts, "File-set reader, PS3.10 and PS3.12"),
            simple_table(made.__doc__ or "", "Made of pictures and documents"),
        ),
    )


def _characters() -> Section:
    rows = [(f"ISO_IR {number}, ISO 2022 IR {number}", codec) for number, codec in text.SINGLE.items()]
    rows += [
        (f"ISO_IR {term}" if term.isdigit() else term, codec) for term, codec in text.MULTI_BYTE_ALONE.items()
    ]
    return Section(
        "Character sets",
        (
            (
                "Stored bytes never change. For the index alone text is decoded as declared, else as the "
                "sender's default says, else by what is found in the bytes, and then it is flagged."
            ),
        ),
        (Table.of(("Specific Character Set (0008,0005)", "decoded as"), rows),),
    )


def _attributes() -> Section:
    found = [tags.BY_KEYWORD[word] for word in READ]
    rows = [(one.keyword, f"({one.tag >> 16:04X},{one.tag & 0xFFFF:04X})", one.vr) for one in found]
    return Section(
        "Attributes read by the edge",
        ("Nothing is required but SOP Class UID and SOP Instance UID.",),
        (Table.of(("attribute", "tag", "VR"), rows),),
    )


def _security(settings: EdgeConfig) -> Section:
    tls = settings.ingest.tls
    profile = tls_profile()
    ciphers = [(one["name"], one["protocol"]) for one in profile.get_ciphers()]
    authentication = "of this end"
    if tls is not None and tls.client_ca is not None:
        authentication = "of both ends, by ingest.tls.client_ca"
    facts = [
        ("DICOM TLS", "on" if tls else "off in this configuration (ingest.tls)"),
        ("profile", "BCP 195 TLS Secure Transport Connection Profile, PS3.15 B.9 and B.12"),
        ("oldest version", profile.minimum_version.name),
        ("authentication", authentication if tls else "none: AE title and address"),
        ("at rest", f"instances are encrypted to the hub before they are answered; {_given(settings)}"),
    ]
    return Section(
        "Security",
        tables=(
            Table.of(("what", "value"), facts),
            Table.of(("cipher suite", "version"), ciphers, "Where TLS is on"),
        ),
    )


def _given(settings: EdgeConfig) -> str:
    early = settings.ingest.commitment is Committed.SPOOL
    return "storage commitment is given " + ("at the edge" if early else "when the hub has signed")
