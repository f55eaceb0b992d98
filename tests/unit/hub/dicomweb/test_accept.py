"""What clients ask for, and what they get."""

from __future__ import annotations

import pytest

from hub.dicomweb.accept import Form, MediaRange, frame_form, instance_form, parse

ELE, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
J2K, HTJ2K, JPEG = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.50"
OHIF = "multipart/related; type=application/octet-stream; transfer-syntax=*"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, [MediaRange("*/*", None, None)]),
        ("*/*", [MediaRange("*/*", None, None)]),
        (OHIF, [MediaRange("application/octet-stream", True, "*")]),
        (
            'multipart/related; type="image/jls"; transfer-syntax=1.2, application/dicom;q=0.5',
            [MediaRange("image/jls", True, "1.2"), MediaRange("application/dicom", False, None, 0.5)],
        ),
        (
            "application/dicom; q=0.1, multipart/related",
            [MediaRange("*/*", True, None), MediaRange("application/dicom", False, None, 0.1)],
        ),
        ('multipart/related; type="a/b,c"', [MediaRange("a/b,c", True, None)]),
        ("nonsense, image/png;q=0, image/png;q=x, ;;", []),
    ],
)
def test_header(header: str | None, expected: list[MediaRange]) -> None:
    assert list(parse(header)) == expected


@pytest.mark.parametrize(
    ("header", "stored", "single", "expected"),
    [
        (None, J2K, True, Form("application/dicom", J2K, True)),
        (
            'multipart/related; type="application/dicom"; transfer-syntax=*',
            BIG,
            False,
            Form("application/dicom", BIG, True),
        ),
        ("application/dicom", J2K, True, Form("application/dicom", J2K, False)),
        ("application/dicom", J2K, False, None),
        (
            f"application/dicom; transfer-syntax={ELE}",
            IMPLICIT,
            True,
            Form("application/dicom", ELE, False, True),
        ),
        (f"application/dicom; transfer-syntax={ELE}", ELE, True, Form("application/dicom", ELE, False)),
        (f"application/dicom; transfer-syntax={ELE}", J2K, True, None),
        (
            f"application/dicom; transfer-syntax={ELE}, application/dicom; transfer-syntax={J2K}",
            J2K,
            True,
            Form("application/dicom", J2K, False),
        ),
        ("image/png", ELE, True, None),
    ],
)
def test_instances(header: str | None, stored: str, single: bool, expected: Form | None) -> None:
    assert instance_form(parse(header), stored, single=single) == expected


@pytest.mark.parametrize(
    ("header", "stored", "single", "expected"),
    [
        (OHIF, HTJ2K, True, Form("image/jphc", HTJ2K, True)),
        (OHIF, BIG, True, Form("application/octet-stream", ELE, True)),
        (None, JPEG, False, Form("image/jpeg", JPEG, True)),
        ("image/jpeg", JPEG, True, Form("image/jpeg", JPEG, False)),
        ("image/*", JPEG, True, Form("image/jpeg", JPEG, False)),
        ("image/jpeg", JPEG, False, None),
        ("application/octet-stream", IMPLICIT, True, Form("application/octet-stream", ELE, False)),
        ("application/octet-stream", JPEG, True, None),
        (
            f'multipart/related; type="image/jp2"; transfer-syntax={J2K}',
            J2K,
            True,
            Form("image/jp2", J2K, True),
        ),
        (f'multipart/related; type="image/jp2"; transfer-syntax={J2K}', JPEG, True, None),
        (OHIF, "1.2.3.4.5", True, Form("application/octet-stream", "1.2.3.4.5", True)),
    ],
)
def test_frames(header: str | None, stored: str, single: bool, expected: Form | None) -> None:
    assert frame_form(parse(header), stored, single=single) == expected
