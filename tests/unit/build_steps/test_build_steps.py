"""The build's own checks: what must stop a build does stop it."""

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from build_steps import audit, fonts, notices, sbom, viewer
from build_steps.faults import BuildFault
from build_steps.registry import Package, check_integrity, extract
from build_steps.stamp import digest_of, is_fresh, press

ROOT = Path(__file__).parents[3]
WEB = ROOT / "hub" / "portal" / "web"
MAIN = "app.bundle.0123456789abcdef.js"
SHEPHERD = (
    ";// CONCATENATED MODULE: ../../../node_modules/shepherd.js/dist/js/shepherd.mjs\n"
    "/*! shepherd.js 15.2.2 */\nfunction shepherd_t(){}\n"
    ";// CONCATENATED MODULE: ../../../node_modules/shepherd.js/dist/css/shepherd.css\n"
    "// extracted\n"
    "const tour = new shepherd_fe.Tour({});\n"
)
STYLE = ".a{color:red}@media print{.shepherd-b{x:y}}.shepherd-c .d{x:y}@font-face{src:url(/f.woff2)}"


def bundle_folder(folder: Path, rooted: int = viewer.ROOTED_BUNDLES) -> Path:
    (folder / MAIN).write_text(SHEPHERD + '__webpack_require__.p = "/"\n')
    for number in range(1, rooted):
        (folder / f"{number}.bundle.js").write_text('x;__webpack_require__.p = "/";y')
    (folder / "app.bundle.css").write_text(STYLE)
    return folder


def archive_of(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_an_archive_with_other_bytes_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.tgz"
    archive.write_bytes(b"right")
    pin = base64.b64encode(hashlib.sha512(b"right").digest()).decode()
    check_integrity(archive, Package("a", "1", pin, "MIT"))
    archive.write_bytes(b"wrong")
    with pytest.raises(BuildFault, match="not used"):
        check_integrity(archive, Package("a", "1", pin, "MIT"))


def test_only_wanted_files_are_extracted(tmp_path: Path) -> None:
    archive = archive_of(
        tmp_path / "a.tgz",
        {
            f"package/{name}": b"x"
            for name in ("LICENSE", "dist/1.js", "dist/1.js.map", "dist/ort/o.js", "dist/sw.js")
        },
    )
    assert extract(archive, tmp_path / "out", viewer.wanted) == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1.js"]


def test_a_file_that_leaves_its_folder_stops_the_build(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "a.tgz", {"package/../../evil": b"x"})
    with pytest.raises(BuildFault, match="leaves its folder"):
        extract(archive, tmp_path / "out", lambda name: name)
    assert not (tmp_path / "evil").exists()


def test_every_root_is_turned(tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path)
    viewer.rebase(folder)
    for bundle in folder.glob("*.js"):
        assert '__webpack_require__.p = "/ohif/"' in bundle.read_text()
    assert "url(/ohif/f.woff2)" in (folder / "app.bundle.css").read_text()


@pytest.mark.parametrize("rooted", [1, viewer.ROOTED_BUNDLES - 1, viewer.ROOTED_BUNDLES + 1])
def test_an_unknown_number_of_roots_stops_the_build(tmp_path: Path, rooted: int) -> None:
    with pytest.raises(BuildFault, match="set their root"):
        viewer.rebase(bundle_folder(tmp_path, rooted))


def test_tours_are_cut_out(tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path)
    viewer.drop_tours(folder / MAIN, folder / "app.bundle.css")
    assert "shepherd.js" not in (folder / MAIN).read_text()
    assert "const tour = new shepherd_fe.Tour({});" in (folder / MAIN).read_text()
    assert (
        folder / "app.bundle.css"
    ).read_text() == ".a{color:red}@media print{}@font-face{src:url(/f.woff2)}"
    with pytest.raises(BuildFault, match="tours"):
        viewer.drop_tours(folder / MAIN, folder / "app.bundle.css")


def test_a_bundled_package_without_notice_stops_the_build(tmp_path: Path) -> None:
    told = tmp_path / "NOTICES.txt"
    told.write_text("\n* react (MIT)\n")
    (tmp_path / "a.js").write_text("// ../node_modules/react/index.js")
    notices.check_complete(tmp_path, told)
    (tmp_path / "b.js").write_text("// ../node_modules/@scope/new/index.js")
    with pytest.raises(BuildFault, match="@scope/new"):
        notices.check_complete(tmp_path, told)


def test_a_step_is_fresh_only_with_the_same_inputs_and_its_outputs(tmp_path: Path) -> None:
    source, made, stamp = tmp_path / "in.txt", tmp_path / "out.txt", tmp_path / "stamps" / "s"
    source.write_text("1")
    made.write_text("made")
    press(stamp, digest_of(tmp_path, [source]))
    assert is_fresh(stamp, digest_of(tmp_path, [source]), [made])
    assert not is_fresh(stamp, digest_of(tmp_path, [source]), [tmp_path / "gone"])
    source.write_text("2")
    assert not is_fresh(stamp, digest_of(tmp_path, [source]), [made])


def test_the_lock_file_names_no_registry_and_pins_every_package() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    for place, facts in lock["packages"].items():
        assert "resolved" not in facts, place
        assert not place or "integrity" in facts, place
    package = json.loads((WEB / "package.json").read_text())
    for version in {**package["dependencies"], **package["devDependencies"]}.values():
        assert version[0].isdigit(), "versions are exact"


def test_the_notices_hold_no_copyleft() -> None:
    heads = [
        line
        for line in (WEB / "ohif" / "NOTICES.txt").read_text("utf-8").splitlines()
        if line.startswith("* ")
    ]
    assert len(heads) > 200
    assert not [head for head in heads if "GPL" in head]


def test_the_bill_of_materials_is_valid_and_names_every_pin(tmp_path: Path) -> None:
    bill, lock = tmp_path / sbom.NAME, ROOT / "requirements.lock"
    shipped = [viewer.PACKAGE, *fonts.PACKAGES]
    sbom.build(lock, WEB / "package-lock.json", shipped, "1.2.3", bill)
    text = bill.read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    names = {(one["purl"].split(":")[1].split("/")[0], one["name"]) for one in json.loads(text)["components"]}
    pinned = {line.split("==")[0] for line in lock.read_text("utf-8").splitlines() if "==" in line}
    assert {("pypi", name) for name in pinned} <= names
    assert {("npm", "lit"), ("npm", "@ohif/app"), ("npm", "@expo-google-fonts/noto-sans")} <= names
    assert all(one["hashes"] for one in json.loads(text)["components"])
    sbom.build(lock, WEB / "package-lock.json", shipped, "1.2.3", tmp_path / "again")
    again = json.loads((tmp_path / "again").read_text("utf-8"))
    assert again["serialNumber"] == json.loads(text)["serialNumber"]
    assert again["components"] == json.loads(text)["components"]


def test_a_known_vulnerability_fails_the_audit_and_silence_is_told() -> None:
    clean = {"name": "a", "version": "1", "vulns": []}
    bad = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
    skipped = {"name": "c", "skip_reason": "not found"}
    assert audit.judge({"dependencies": [clean, skipped]})[0] == 0
    code, words = audit.judge({"dependencies": [clean, bad]})
    assert code == 1
    assert "b 2: PYSEC-1, mended in 3" in words[-1]
    for nothing in ({}, {"dependencies": [skipped]}):
        code, words = audit.judge(nothing)
        assert (code, "NOT DONE" in words[0]) == (0, True)
