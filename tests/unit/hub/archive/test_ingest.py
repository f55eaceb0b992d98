"""What becomes of a batch: rows, counters, copies, conflicts, and nothing lost on the way."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.envelope.layout import Notice
from gateway.errors import Broken
from gateway.model import Priority
from hub.archive.archive import Stored
from hub.archive.facts import unpacked
from hub.archive.zone import utc_offset
from hub.tables.study import instances, patients, series, studies, study_notes
from hub.tables.told import study_clocks
from tests.doubles.instances import Hub, ct, encode, entry


async def rows(hub: Hub, table: Any) -> list[dict[str, Any]]:
    async with hub.database.reading() as connection:
        found = await connection.execute(select(table).order_by(table.c.id))
        return [dict(row) for row in found.mappings()]


async def test_first_instance_makes_every_row(hub: Hub) -> None:
    dataset = ct()
    data = encode(dataset)
    assert await hub.archive.ingest([hub.instance(dataset)]) == [Stored.NEW]
    [study], [one_series], [instance] = [await rows(hub, table) for table in (studies, series, instances)]
    [patient] = await rows(hub, patients)
    assert (patient["site"], patient["issuer"], patient["patient_id"]) == ("H001", "", "P1")
    assert study["state"] == "arriving"
    assert study["modalities"] == "CT"
    assert study["body_parts"] == "HEAD"
    assert (study["instance_count"], study["series_count"], study["received_count"]) == (1, 1, 1)
    assert study["expected_count"] is None
    assert one_series["instance_count"] == 1
    assert instance["sha256"] == hashlib.sha256(data).hexdigest()
    assert instance["flaw"] == ""
    assert instance["frame_bits"] == 16 * 16 * 16
    assert data[instance["pixel_offset"] :] == dataset.PixelData
    assert hub.store.read(instance["sha256"], 0, 1 << 20) == data
    assert list(hub.store.incoming.iterdir()) == []
    model = json.loads(unpacked(instance["metadata"]))
    assert model["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Test^Anna"}]}
    assert model["7FE00010"] == {"vr": "OW", "BulkDataURI": "bulkdata/7FE00010"}
    assert model["00200032"]["Value"] == [0, 0, 1]


async def test_same_bytes_again_are_the_same_instance(hub: Hub) -> None:
    await hub.archive.ingest([hub.instance(ct())])
    assert await hub.archive.ingest([hub.instance(ct()), hub.instance(ct())]) == [Stored.SAME, Stored.SAME]
    [study] = await rows(hub, studies)
    assert (study["instance_count"], study["received_count"], study["conflicts"]) == (1, 3, 0)
    assert len(await rows(hub, instances)) == 1


async def test_other_bytes_under_a_known_uid_are_kept_beside(hub: Hub) -> None:
    first, other = ct(), ct(StudyDescription="Neck")
    await hub.archive.ingest([hub.instance(first)])
    assert await hub.archive.ingest([hub.instance(other)]) == [Stored.CONFLICT]
    kept = await rows(hub, instances)
    assert [row["current"] for row in kept] == [True, False]
    for row, dataset in zip(kept, (first, other), strict=True):
        assert hub.store.read(row["sha256"], 0, 1 << 20) == encode(dataset)
    [study] = await rows(hub, studies)
    assert (study["instance_count"], study["conflicts"]) == (1, 1)
    [(event, site, subject, detail)] = hub.custody.events
    assert (event, site, subject) == ("conflict", "H001", kept[1]["sha256"])
    assert detail["known"] == [kept[0]["sha256"]]
    assert await hub.archive.ingest([hub.instance(other)]) == [Stored.SAME]


async def test_conflict_within_one_batch_and_across_series(hub: Hub) -> None:
    batch = [hub.instance(ct(1)), hub.instance(ct(1, StudyDescription="Neck"))]
    moved = ct(1, series="1.2.3.9", SOPInstanceUID="1.2.3.1.1")
    assert await hub.archive.ingest(batch) == [Stored.NEW, Stored.CONFLICT]
    assert await hub.archive.ingest([hub.instance(moved)]) == [Stored.CONFLICT]
    assert [row["current"] for row in await rows(hub, instances)] == [True, False, True]
    assert [row["instance_count"] for row in await rows(hub, series)] == [1, 1]


async def test_one_patient_id_at_two_sites_is_two_patients(hub: Hub) -> None:
    batch = [hub.instance(ct(), site="H001"), hub.instance(ct(), site="H002")]
    assert await hub.archive.ingest(batch) == [Stored.NEW, Stored.NEW]
    assert [row["site"] for row in await rows(hub, patients)] == ["H001", "H002"]
    assert [row["study_uid"] for row in await rows(hub, studies)] == ["1.2.3", "1.2.3"]
    assert [row["conflicts"] for row in await rows(hub, studies)] == [0, 0]


async def test_patients_without_id_are_never_taken_for_one(hub: Hub) -> None:
    batch = [hub.instance(ct(study=f"1.2.{n}", series=f"1.2.{n}.1", PatientID="")) for n in (4, 5)]
    await hub.archive.ingest(batch)
    assert len(await rows(hub, patients)) == 2


async def test_a_shared_patient_id_does_not_hide_the_second_name(hub: Hub) -> None:
    await hub.archive.ingest([hub.instance(ct())])
    await hub.archive.ingest([hub.instance(ct(study="1.2.7", series="1.2.7.1", PatientName="Else^Some"))])
    assert [row["patient_name"] for row in await rows(hub, studies)] == ["Test^Anna", "Else^Some"]


async def test_counters_and_words_over_many_batches(hub: Hub) -> None:
    for start in range(1, 13, 4):
        await hub.archive.ingest([hub.instance(ct(n, size=2)) for n in range(start, start + 4)])
    extra = ct(1, series="1.2.3.2", Modality="SR", BodyPartExamined="NECK")
    await hub.archive.ingest([hub.instance(extra, priority=Priority.STAT)])
    [study] = await rows(hub, studies)
    assert (study["instance_count"], study["series_count"]) == (13, 2)
    assert (study["modalities"], study["body_parts"]) == ("CT\\SR", "HEAD\\NECK")
    assert study["priority"] == Priority.STAT


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
async def test_every_encoding_is_read(hub: Hub, syntax: str) -> None:
    await hub.archive.ingest([hub.instance(ct(), syntax)])
    [instance] = await rows(hub, instances)
    assert (instance["flaw"], instance["rows"], instance["pixel_length"]) == ("", 16, 512)


async def test_unreadable_dataset_is_kept_and_found_by_its_entry(hub: Hub) -> None:
    data = b"this is no dataset"
    made = entry(
        data, study_uid="1.2.8", series_uid="1.2.8.1", sop_instance_uid="1.2.8.1.1", sop_class_uid="1.2"
    )
    assert await hub.archive.ingest([hub.incoming(data, made)]) == [Stored.NEW]
    [instance] = await rows(hub, instances)
    assert instance["flaw"]
    assert hub.store.read(instance["sha256"], 0, 100) == data
    assert [row["study_uid"] for row in await rows(hub, studies)] == ["1.2.8"]


async def test_dataset_without_uids_is_filed_under_made_ones(hub: Hub) -> None:
    data = b""
    await hub.archive.ingest([hub.incoming(data, entry(data))])
    [instance], [study] = await rows(hub, instances), await rows(hub, studies)
    assert instance["sop_instance_uid"].startswith("2.25.")
    assert study["study_uid"].startswith("2.25.")
    assert "no Study Instance UID" in instance["flaw"]


async def test_repeat_after_a_crash_between_blobs_and_rows(hub: Hub) -> None:
    item = hub.instance(ct())
    hub.store.put(item.blob, item.entry.sha256, item.entry.length)
    assert await hub.archive.ingest([item]) == [Stored.NEW]
    assert await hub.archive.ingest([item]) == [Stored.SAME]


async def test_work_of_the_caller_is_kept_with_the_rows_or_not_at_all(hub: Hub) -> None:
    seen: list[Stored] = []

    async def fail(connection: AsyncConnection, stored: list[Stored]) -> None:
        seen.extend(stored)
        raise Broken("on purpose")

    item = hub.instance(ct())
    with pytest.raises(Broken):
        await hub.archive.ingest([item], within=fail)
    assert seen == [Stored.NEW]
    assert await rows(hub, instances) == []
    assert hub.store.has(item.entry.sha256)


async def test_notes_count_what_is_to_come(hub: Hub) -> None:
    note = Notice("association-closed", {"association": "a1", "calling_ae": "CT", "studies": {"1.2.3": 3}})
    await hub.archive.ingest([], [("H001", note)])
    assert len(await rows(hub, study_notes)) == 1
    await hub.archive.ingest([hub.instance(ct(1))], [("H001", note)])
    [study] = await rows(hub, studies)
    assert (study["instance_count"], study["expected_count"]) == (1, 3)
    await hub.archive.ingest([hub.instance(ct(2)), hub.instance(ct(3))])
    assert [row["expected_count"] for row in await rows(hub, studies)] == [3]
    assert len(await rows(hub, study_notes)) == 1


async def test_report_made_at_the_hub_does_not_count_as_an_arrival(hub: Hub) -> None:
    await hub.archive.ingest([hub.instance(ct())])
    hub.clock.move(60)
    await hub.archive.ingest(
        [hub.instance(ct(2, series="1.2.3.7", Modality="SR"), origin="hub", parcel_id="")]
    )
    [study] = await rows(hub, studies)
    assert (study["instance_count"], study["received_count"]) == (2, 1)
    assert study["last_at"] == study["first_at"]


async def test_wrong_size_stops_before_anything_is_kept(hub: Hub) -> None:
    item = hub.instance(ct())
    item.blob.write_bytes(b"short")
    with pytest.raises(Broken, match="5 bytes"):
        await hub.archive.ingest([item])
    assert not hub.store.has(item.entry.sha256)
    assert await rows(hub, instances) == []


async def test_two_at_once_make_one(hub: Hub) -> None:
    batches = [[hub.instance(ct(n, size=2)) for n in range(20)] for _ in range(3)]
    answers = await asyncio.gather(*(hub.archive.ingest(batch) for batch in batches))
    assert sorted(stored.value for answer in answers for stored in answer) == ["new"] * 20 + ["same"] * 40
    [study] = await rows(hub, studies)
    assert (study["instance_count"], study["received_count"], study["conflicts"]) == (20, 60, 0)


async def test_no_line_break_gets_into_an_identifier(hub: Hub) -> None:
    data = encode(ct())
    made = entry(data, ct(), transfer_syntax_uid="1.2.840.10008.1.2.1\r\nX-Forged: 1", calling_ae="A\nB")
    await hub.archive.ingest([hub.incoming(data, made)])
    [instance] = await rows(hub, instances)
    assert not set("\r\n") & set(instance["transfer_syntax_uid"] + instance["calling_ae"])


async def test_a_name_without_character_set_is_read_as_the_edge_knows_its_sender_to_mean(hub: Hub) -> None:
    dataset = ct(PatientName="Wang^????")
    data = encode(dataset).replace(b"Wang^????", b"Wang^" + "王东".encode("gb18030"))
    told = entry(data, dataset, parameters={"charset": "GB18030"})
    assert await hub.archive.ingest([hub.incoming(data, told)]) == [Stored.NEW]
    [patient] = await rows(hub, patients)
    assert patient["name"] == "Wang^王东"


async def told_of(hub: Hub, dataset: Dataset, **remarks: str) -> tuple[str, str | None]:
    """Institution and UTC offset of the only study, after one instance."""
    data = encode(dataset)
    await hub.archive.ingest([hub.incoming(data, entry(data, dataset, parameters=remarks))])
    [study] = await rows(hub, studies)
    async with hub.database.reading() as connection:
        offset = (await connection.execute(select(study_clocks.c.utc_offset))).scalar()
    return study["institution"], offset


REMARKS = {"institution": "East Clinic", "time_zone": "America/New_York"}


async def test_the_settings_of_a_sender_say_where_and_by_which_clock(hub: Hub) -> None:
    assert await told_of(hub, ct(StudyDate="20260701", StudyTime="0130"), **REMARKS) == (
        "East Clinic",
        "-0400",
    )


async def test_what_an_image_says_itself_goes_first(hub: Hub) -> None:
    made = ct(InstitutionName="West", TimezoneOffsetFromUTC="+0530")
    assert await told_of(hub, made, **REMARKS) == ("West", "+0530")


async def test_without_either_nothing_is_guessed(hub: Hub) -> None:
    assert await told_of(hub, ct()) == ("", None)


@pytest.mark.parametrize(
    ("told", "zone", "date", "time", "offset"),
    [
        ("", "Asia/Shanghai", "20260101", "093000.5", "+0800"),
        ("", "America/New_York", "20260101", "0930", "-0500"),
        ("", "America/New_York", "20260308", "", "-0400"),  # noon of the day the clocks change
        ("", "Asia/Kathmandu", "20260101", "09", "+0545"),
        ("+1500", "Asia/Shanghai", "20260101", "", "+0800"),  # no such offset
        ("-0000", "", "20260101", "", ""),  # not allowed, PS3.3 C.12.1.1.8
        ("+0000", "Asia/Shanghai", "", "", "+0000"),
        ("", "Asia/Shanghai", "1997.04.24", "", ""),
        ("", "Asia/Shanghai", "", "", ""),
        ("", "../../etc/passwd", "20260101", "", ""),
        ("", "Asia", "20260101", "", ""),
        ("", "Mars/Olympus", "20260101", "", ""),
        ("", 7, "20260101", "", ""),
        ("", None, "20260101", "", ""),
    ],
)
def test_an_offset_is_a_fact_or_nothing(told: str, zone: object, date: str, time: str, offset: str) -> None:
    assert utc_offset(told, zone, date, time) == offset
