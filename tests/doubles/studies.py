"""Studies put straight into the hub's tables, as the archive would leave them."""

from __future__ import annotations

from gateway.clock import rfc3339
from gateway.database import Database
from gateway.model import Priority
from hub.tables.study import instances, patients, series, studies
from tests.doubles.clock import SetClock


class Studies:
    def __init__(self, database: Database, clock: SetClock) -> None:
        self.database, self.clock, self.count = database, clock, 0

    async def add(
        self,
        *,
        site: str = "H001",
        patient: str = "P1",
        name: str = "Muster^Max",
        modality: str = "CT",
        body_part: str = "HEAD",
        priority: Priority = Priority.ROUTINE,
        description: str = "CT head",
        images: int = 2,
        state: str = "complete",
    ) -> int:
        """A study with one series; returns its row id."""
        self.count += 1
        now = rfc3339(self.clock.now())
        async with self.database.writing() as connection:
            key = (patients.c.site == site) & (patients.c.patient_id == patient)
            found = (await connection.execute(patients.select().where(key))).first()
            owner = found[0] if found else None
            if owner is None:
                done = await connection.execute(
                    patients.insert().values(site=site, patient_id=patient, name=name)
                )
                owner = done.inserted_primary_key[0]
            done = await connection.execute(
                studies.insert().values(
                    site=site,
                    study_uid=f"1.2.3.{self.count}",
                    patient=owner,
                    patient_name=name,
                    patient_name_folded=name.casefold(),
                    patient_birth_date="19800101",
                    patient_sex="M",
                    state=state,
                    priority=int(priority),
                    study_date="20261122",
                    accession=f"A{self.count}",
                    description=description,
                    modalities=modality,
                    body_parts=body_part,
                    series_count=1,
                    instance_count=images,
                    received_count=images,
                    first_at=now,
                    last_at=now,
                    completed_at=now if state == "complete" else None,
                    completeness="all are here",
                    clinical_question="bleeding?",
                )
            )
            study = done.inserted_primary_key[0]
            await connection.execute(
                series.insert().values(
                    study=study,
                    series_uid=f"1.2.3.{self.count}.1",
                    modality=modality,
                    description="axial",
                    body_part=body_part,
                    instance_count=images,
                )
            )
        await self.images(study, images)
        return int(study)

    async def images(self, study: int, count: int, *, origin: str = "edge", settle: bool = False) -> None:
        """Put instances into the study's series; `settle`: as late ones, and the study complete again."""
        now = rfc3339(self.clock.now())
        async with self.database.writing() as connection:
            row = (await connection.execute(series.select().where(series.c.study == study))).first()
            start = len((await connection.execute(instances.select())).all())
            for number in range(start, start + count):
                await connection.execute(
                    instances.insert().values(
                        series=row[0],
                        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                        sop_instance_uid=f"1.2.3.9.{number}",
                        transfer_syntax_uid="1.2.840.10008.1.2.1",
                        sha256=f"{number:064x}",
                        size=1,
                        origin=origin,
                        calling_ae="CT1" if origin == "edge" else "",
                        received_at=now,
                        indexed_at=now,
                    )
                )
            if settle:
                mine = studies.c.id == study
                counted = studies.c.instance_count + count
                await connection.execute(
                    studies.update().where(mine).values(instance_count=counted, completed_at=now)
                )
