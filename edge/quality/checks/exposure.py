"""How it was taken, against what is usual: a hint for who takes the next one."""

from __future__ import annotations

from collections.abc import Iterator

from edge.quality.warning import QualityWarning, Study

DEVIATION = 3.0
"""Deviation index (IEC 62494-1) from which half or double the exposure was given."""

KVP = {"CT": (70.0, 150.0), "CR": (35.0, 150.0), "DX": (35.0, 150.0), "MG": (20.0, 49.0)}

REFERENCE = ((("HEAD", "BRAIN", "头", "颅"), 80.0), ((), 50.0))
"""CTDIvol in mGy far above the diagnostic reference levels of adults (ACR: head 75, abdomen 25)."""


def check(study: Study) -> Iterator[QualityWarning]:
    """Each series by the values its images carry."""
    for uid, images in study.series.items():
        first, taken = images[0], [one.taken for one in images if one.taken]
        away = [value for one in taken if (value := _number(one.get("DeviationIndex"))) is not None]
        worst = max(away, key=abs, default=0.0)
        if abs(worst) >= DEVIATION:
            kind = "exposure-high" if worst > 0 else "exposure-low"
            yield study.warn(kind, uid, index=f"{worst:+.1f}")
        low, high = KVP.get(first.modality, (0.0, float("inf")))
        voltage = next((v for one in taken if (v := _number(one.get("KVP"))) is not None), None)
        if voltage is not None and voltage > 0 and not low <= voltage <= high:
            yield study.note("kvp-unusual", uid, kvp=f"{voltage:g}", low=f"{low:g}", high=f"{high:g}")
        dose = max((v for one in taken if (v := _number(one.get("CTDIvol"))) is not None), default=0.0)
        where = f"{first.body_part} {first.description}".upper()
        level = next(level for parts, level in REFERENCE if not parts or any(part in where for part in parts))
        if first.modality == "CT" and dose > level:
            yield study.note("dose-high", uid, dose=f"{dose:.0f}", level=f"{level:.0f}")


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").split("\\")[0])
    except ValueError:
        return None
