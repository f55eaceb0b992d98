import shutil
import struct
import subprocess
import zlib
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from pydicom import dcmread
from pydicom.encaps import generate_frames
from reportlab.pdfgen.canvas import Canvas

from edge.acquire import made, picture
from edge.acquire.form import checked
from edge.acquire.made import Maker
from edge.importing import Form, Kind
from gateway.dicom.part10 import wrap
from gateway.errors import Malformed

FORM = Form(
    patient_name="王^小东",
    patient_id="P-1",
    birth_date="19700102",
    sex="M",
    accession="A1",
    description="胸片 Chest",
    modality="DX",
    body_part="CHEST",
    laterality="L",
)
NOW = datetime(2026, 11, 26, 9, 30, tzinfo=timezone(timedelta(hours=8)))


def shades(mode="RGB", size=(64, 48)):
    rng = np.random.default_rng(7)
    depth = {"RGB": (3,), "RGBA": (4,), "CMYK": (4,), "LA": (2,)}.get(mode, ())
    values = rng.integers(0, 255, (size[1], size[0], *depth), dtype=np.uint8)
    if mode == "1":
        return Image.fromarray(values).convert("1")
    if mode == "P":
        return Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).quantize(16)
    return Image.fromarray(values, mode)


def saved(image, kind, **options):
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(*images, **options):
    return saved(images[0], "TIFF", save_all=True, append_images=list(images[1:]), **options)


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[306] = "2026:11:20 10:11:12"
    return saved(shades(), "JPEG", exif=exif)


def pdf(pages=1):
    buffer = BytesIO()
    canvas = Canvas(buffer)
    for number in range(pages):
        canvas.drawString(100, 700, f"Request {number}")
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def deep(white_zero=False):
    values = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) * 20
    image = Image.fromarray(values)
    return saved(image, "TIFF", tiffinfo={262: 0}) if white_zero else saved(image, "PNG")


def make(data, **changes):
    values = {name: getattr(FORM, name) for name in Form.__slots__} | changes
    found = list(Maker(checked(Form(**values)), NOW).make(data))
    return [
        dcmread(BytesIO(wrap(_class(one), "2.25.1", one.transfer_syntax_uid) + one.data)) for one in found
    ]


def _class(one):
    return str(dcmread(BytesIO(wrap("1.2", "1.2", one.transfer_syntax_uid) + one.data)).SOPClassUID)


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EVERYTHING = {
    "jpeg": (saved(shades(), "JPEG"), {}),
    "jpeg photo": (saved(shades(), "JPEG", icc_profile=SRGB), {"kind": Kind.PHOTO}),
    "grey jpeg": (saved(shades("L"), "JPEG"), {}),
    "grey jpeg photo": (saved(shades("L"), "JPEG"), {"kind": Kind.PHOTO, "laterality": "B"}),
    "progressive jpeg": (saved(shades(), "JPEG", progressive=True), {}),
    "cmyk jpeg": (saved(shades("CMYK"), "JPEG"), {"kind": Kind.PAPER}),
    "rgb jpeg": (saved(shades(), "JPEG", keep_rgb=True), {}),
    "turned jpeg": (turned(6), {"kind": Kind.PHOTO}),
    "turned film": (turned(3), {}),
    "png": (saved(shades(), "PNG", dpi=(300, 300)), {}),
    "png photo": (saved(shades(), "PNG"), {"kind": Kind.PHOTO}),
    "grey png": (saved(shades("L"), "PNG"), {}),
    "deep png": (deep(), {}),
    "deep png photo": (deep(), {"kind": Kind.PHOTO}),
    "deep tiff, white is zero": (deep(white_zero=True), {}),
    "png with transparency": (saved(shades("RGBA"), "PNG"), {"kind": Kind.SCREEN}),
    "palette": (saved(shades("P"), "PNG"), {}),
    "black and white": (tiff(shades("1"), compression="group4"), {"kind": Kind.PAPER}),
    "odd size": (saved(shades("L", (33, 21)), "PNG"), {}),
    "tiff": (tiff(shades(), compression="tiff_lzw"), {}),
    "tiff pages": (tiff(shades(), shades(), shades(), dpi=(300, 300)), {}),
    "tiff pages of unknown size": (tiff(shades(), shades()), {}),
    "grey tiff pages": (tiff(shades("L"), shades("L")), {"kind": Kind.SCREEN}),
    "deep tiff pages": (tiff(Image.open(BytesIO(deep())), Image.open(BytesIO(deep())), dpi=(300, 300)), {}),
    "mixed tiff pages": (tiff(shades(), shades("L"), shades("RGB", (20, 20))), {"kind": Kind.PAPER}),
    "pdf": (pdf(3), {}),
    "pdf of paper": (pdf(), {"kind": Kind.PAPER, "description": ""}),
    "little told": (saved(shades(), "JPEG"), dict.fromkeys(("birth_date", "sex", "accession", "description", "modality", "body_part", "laterality"), "")),
}  # fmt: skip


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("name", EVERYTHING)
def test_dciodvfy_finds_no_error(name, tmp_path):
    data, changes = EVERYTHING[name]
    values = {field: getattr(FORM, field) for field in Form.__slots__} | changes
    for number, one in enumerate(Maker(checked(Form(**values)), NOW).make(data)):
        file = tmp_path / f"{number}.dcm"
        dataset = dcmread(BytesIO(wrap("1.2", "1.2", one.transfer_syntax_uid) + one.data))
        head = wrap(dataset.SOPClassUID, dataset.SOPInstanceUID, one.transfer_syntax_uid)
        file.write_bytes(head + one.data)
        judged = subprocess.run(
            ["dciodvfy", "-new", file], capture_output=True, text=True, timeout=30, check=False
        )
        errors = [line for line in judged.stderr.splitlines() if "Error" in line]
        assert errors == [], judged.stderr


def test_a_baseline_jpeg_keeps_its_bytes():
    for data, photometric in (
        (EVERYTHING["jpeg"][0], "YBR_FULL_422"),
        (EVERYTHING["grey jpeg"][0], "MONOCHROME2"),
    ):
        (dataset,) = make(data)
        (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
        assert frame[: len(data)] == data
        assert (dataset.PhotometricInterpretation, dataset.LossyImageCompression) == (photometric, "01")


def test_a_decoder_sees_the_colours_of_the_file():
    data = EVERYTHING["jpeg"][0]
    (dataset,) = make(data)
    seen = np.asarray(
        Image.open(BytesIO(next(generate_frames(dataset.PixelData, number_of_frames=1)))).convert("RGB")
    )
    assert (seen == np.asarray(Image.open(BytesIO(data)).convert("RGB"))).all()
    (rgb,) = make(EVERYTHING["rgb jpeg"][0])
    assert rgb.PhotometricInterpretation == "RGB"


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_photograph_stands_upright_and_says_so(orientation):
    data = turned(orientation)
    (dataset,) = make(data, kind=Kind.PHOTO)
    upright = {3: 180, 6: 270, 8: 90}.get(orientation)
    plain = np.asarray(Image.open(BytesIO(data)))
    if upright is not None:
        assert (dataset.pixel_array == np.rot90(plain, upright // 90)).all()
    assert (dataset.Rows, dataset.Columns) == ((64, 48) if orientation > 4 else (48, 64))
    assert f"turned by EXIF orientation {orientation}" in dataset.DerivationDescription
    assert (dataset.ImageType[0], dataset.LossyImageCompression) == ("DERIVED", "01")
    assert dataset.AcquisitionDateTime == "20261120101112"


def test_a_turned_tiff_stands_upright_and_says_so():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = shades()
    (dataset,) = make(saved(picture, "TIFF", exif=exif))
    assert (dataset.pixel_array == np.rot90(np.asarray(picture), 3)).all()
    assert "turned by EXIF orientation 6" in dataset.DerivationDescription


@pytest.mark.parametrize(
    "odd", [(0x010E, 5, 1, 0), (0x0132, 11, 1, 0), (0xA005, 2, 2, 0), (0x8769, 9, 1, 0xFFFFFFFB)]
)
def test_a_turned_photograph_with_an_odd_tag_is_taken(odd):
    entries = [(0x0112, 3, 1, 6), odd]
    written = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    exif = b"Exif\0\0II*\0" + struct.pack("<LH", 8, len(entries)) + written + bytes(4)
    (dataset,) = make(saved(shades(), "JPEG", exif=exif), kind=Kind.PHOTO)
    assert (dataset.Rows, dataset.Columns) == (64, 48)


def test_pixels_without_loss_are_the_files_own():
    (dataset,) = make(EVERYTHING["png"][0])
    assert (dataset.pixel_array == np.asarray(Image.open(BytesIO(EVERYTHING["png"][0])))).all()
    (dark,) = make(EVERYTHING["deep tiff, white is zero"][0])
    assert (dark.PhotometricInterpretation, dark.pixel_array.max()) == ("MONOCHROME1", (64 * 48 - 1) * 20)
    (word,) = make(EVERYTHING["deep tiff pages"][0])
    assert word.pixel_array.shape == (2, 48, 64)
    assert word.NominalScannedPixelSpacing == [pytest.approx(25.4 / 300, abs=1e-5)] * 2
    (ink,) = make(EVERYTHING["black and white"][0], kind=Kind.PAPER)
    assert set(np.unique(ink.pixel_array)) == {0, 255}
    clear, white = Image.new("RGBA", (8, 8), (9, 9, 9, 0)), 255
    assert make(saved(clear, "PNG"))[0].pixel_array.min() == white


def test_every_dataset_names_its_origin_and_the_patient():
    for data, changes in EVERYTHING.values():
        for dataset in make(data, **changes):
            block = dataset.private_block(0x0099, "TELERAD GATEWAY")
            assert block[0x01].value == sha256(data).hexdigest()
            assert (str(dataset.PatientName), dataset.PatientID) == ("王^小东", "P-1")
            assert dataset.StudyInstanceUID.startswith("2.25.")
            assert len(dataset.SOPInstanceUID) <= 64


def test_a_pdf_is_carried_unchanged():
    data = pdf()
    (dataset,) = make(data)
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] == data


def test_all_files_of_an_import_are_one_study():
    maker = Maker(FORM, NOW)
    found = [one for data, _ in EVERYTHING.values() for one in maker.make(data)]
    datasets = [dcmread(BytesIO(wrap("1.2", "1.2", one.transfer_syntax_uid) + one.data)) for one in found]
    assert len({dataset.StudyInstanceUID for dataset in datasets}) == 1
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == len(found)
    assert len({(dataset.SeriesInstanceUID, dataset.SOPClassUID) for dataset in datasets}) == len(
        {dataset.SOPClassUID for dataset in datasets}
    )


def test_bombs_and_broken_files_are_refused(monkeypatch):
    whole = saved(shades(), "JPEG")
    for data in (
        b"",
        b"GIF89a",
        b"\xff\xd8\xff",
        whole[:-300],
        b"%PDF-1.4 cut off",
        saved(shades(), "PNG")[:90],
    ):
        with pytest.raises(Malformed):
            make(data)
    small = saved(Image.new("1", (6, 6)), "PNG")
    header = b"IHDR" + struct.pack(">LL", 60_000, 60_000) + small[24:29]
    bomb = small[:12] + header + struct.pack(">L", zlib.crc32(header)) + small[33:]
    with pytest.raises(Malformed, match="pixels"):
        make(bomb)
    monkeypatch.setattr(picture, "PAGE_LIMIT", 2)
    with pytest.raises(Malformed, match="pages"):
        make(tiff(*[shades("L")] * 4))
    monkeypatch.setattr(picture, "PLAIN_LIMIT", 5000)
    with pytest.raises(Malformed, match="bytes of pixels"):
        make(tiff(shades("L"), shades("L")))
    monkeypatch.setattr(made, "PDF_LIMIT", 10)
    with pytest.raises(Malformed, match="PDF"):
        make(pdf())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patient_name", ""), ("patient_id", " "), ("patient_id", "x" * 65), ("patient_name", "a\\b"),
        ("description", "a\nb"), ("birth_date", "19701301"), ("birth_date", "1970-01-02"), ("sex", "X"),
        ("laterality", "LEFT"), ("modality", "dx"), ("body_part", "<b>"), ("study_uid", "../x"),
        ("patient_name", "a^b^c^d^e^f"), ("accession", "1" * 17),
    ],
)  # fmt: skip
def test_a_form_says_which_field_is_wrong(field, value):
    values = {name: getattr(FORM, name) for name in Form.__slots__} | {field: value}
    with pytest.raises(Malformed, match=field if field != "study_uid" else "UID"):
        checked(Form(**values))


@given(st.sampled_from(["jpeg", "png", "tiff", "deep tiff, white is zero"]), st.data())
def test_bent_bytes_are_refused_or_read_and_nothing_else(name, data):
    bent = bytearray(EVERYTHING[name][0])
    for _ in range(data.draw(st.integers(1, 6))):
        bent[data.draw(st.integers(0, len(bent) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Malformed):
        make(bytes(bent))
