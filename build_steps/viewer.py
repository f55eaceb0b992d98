"""OHIF as it is published, made ready to be served under `/ohif/`.

The published bundle is built for `/`, not minified and full of parts this portal does not offer. The steps:
take the wanted files, leave out the guided tours, turn every `/` it was built for into `/ohif/`, put our own
page and configuration in, minify. Each place that is changed must be found where it is known to be, or the
build fails: a new version of OHIF is first looked at by a person.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from build_steps.faults import BuildFault
from build_steps.node import Node
from build_steps.notices import check_complete
from build_steps.registry import Package, extract, fetch

PACKAGE = Package(
    "@ohif/app",
    "3.13.2",
    "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==",
    "MIT",
)
BASE = "/ohif/"
# AI segmentation runtime, whole-slide viewer, source maps, service worker, other people's configurations.
UNWANTED = re.compile(
    r"^(ort/|dicom-microscopy-viewer/|customizations/|assets/(?!images/|favicon)|.*\.map$|_\w+$|.*\.html$"
    r"|(app-config|es6-shim\.min|google|init-service-worker|oidc-client\.min|polyfill\.min|sw)\.js$"
    r"|(manifest|serve)\.json$)"
)
PUBLIC_PATH = re.compile(r'(\b__webpack_require__\.p = )"/"')
# The bundle that starts the viewer and the seven that run as workers, each with its own idea of the root.
ROOTED_BUNDLES = 8
# The guided tours come with shepherd.js, which is AGPL-3.0; nothing here offers a tour.
TOURS = re.compile(
    r";// CONCATENATED MODULE: \S*node_modules/shepherd\.js/dist/js/shepherd\.mjs\n"
    r".*?(?=\n(?:;// CONC|// EXT))",
    re.DOTALL,
)
TOURS_STYLE_NOTE = re.compile(
    r";// CONCATENATED MODULE: \S*node_modules/shepherd\.js/dist/css/shepherd\.css\n"
)
NO_TOURS = "const shepherd_fe = { Tour: class { addStep() {} start() {} } };"
TOUR_RULES = re.compile(r"[^{}]*\.shepherd-[^{}]*\{[^{}]*\}")
MAIN = re.compile(r"^app\.bundle\.[0-9a-f]{16}\.js$")


def build(node: Node, scratch: Path, ours: Path, web: Path, into: Path) -> None:
    """Fill the viewer's folder.

    Args:
        node: runs npm and the minifier.
        scratch: an empty folder on the same file system as `into`.
        ours: our page, configuration and bridge.
        web: the folder whose `node_modules` holds the minifier.
        into: what is served under `/ohif/`; replaced as a whole.

    Raises:
        BuildFault: the package cannot be fetched, is not the pinned one or is not as expected inside.
    """
    archive = fetch(node, PACKAGE, scratch / "download")
    made = scratch / "viewer"
    extract(archive, made, wanted)
    archive.unlink()
    drop_tours(main_bundle(made), made / "app.bundle.css")
    rebase(made)
    check_complete(made, ours / "NOTICES.txt")
    (made / "index.html").write_text(page((ours / "index.html").read_text(), main_bundle(made).name))
    node.run([str(ours / "press.mjs"), str(ours), str(made)], folder=web)
    shutil.rmtree(into, ignore_errors=True)
    made.rename(into)


def wanted(name: str) -> str | None:
    """Give a file's place in the viewer's folder, None if it is left out."""
    folder, _, rest = name.partition("/")
    return None if folder != "dist" or UNWANTED.match(rest) else rest


def rebase(folder: Path) -> None:
    """Turn the root the bundles were built for into `/ohif/`.

    Raises:
        BuildFault: a place that names the root is missing or there are more than known.
    """
    rooted = 0
    for bundle in sorted(folder.glob("*.js")):
        text = bundle.read_text(encoding="utf-8")
        changed, count = PUBLIC_PATH.subn(rf'\1"{BASE}"', text)
        if count > 1:
            raise BuildFault(f"{bundle.name} sets its root {count} times, expected once")
        rooted += count
        if count:
            bundle.write_text(changed, encoding="utf-8")
    if rooted != ROOTED_BUNDLES:
        raise BuildFault(f"{rooted} bundles of OHIF set their root, expected {ROOTED_BUNDLES}")
    style = folder / "app.bundle.css"
    text, count = re.subn(r"url\(/(?!/)", f"url({BASE}", style.read_text(encoding="utf-8"))
    if not count:
        raise BuildFault("OHIF's style sheet names no file below its root any more")
    style.write_text(text, encoding="utf-8")


def drop_tours(bundle: Path, style: Path) -> None:
    """Put an empty class in the place of shepherd.js.

    Raises:
        BuildFault: it is not where it is known to be.
    """
    text, count = TOURS.subn(NO_TOURS, bundle.read_text(encoding="utf-8"))
    text = TOURS_STYLE_NOTE.sub("", text)
    left, rules = TOUR_RULES.subn("", style.read_text(encoding="utf-8"))
    if count != 1 or "new shepherd_fe.Tour(" not in text or not rules or "shepherd-" in left:
        raise BuildFault("OHIF's guided tours (shepherd.js) are not where they were: look before building")
    bundle.write_text(text, encoding="utf-8")
    style.write_text(left, encoding="utf-8")


def main_bundle(folder: Path) -> Path:
    """Find the bundle that starts the viewer; its name carries its digest.

    Raises:
        BuildFault: there is not exactly one.
    """
    found = [path for path in folder.iterdir() if MAIN.match(path.name)]
    if len(found) != 1:
        raise BuildFault(f"cannot tell OHIF's main bundle: {[path.name for path in found]}")
    return found[0]


def page(template: str, main: str) -> str:
    """Put the name of the main bundle into our page.

    Raises:
        BuildFault: the page has no place for it.
    """
    if "{{main}}" not in template:
        raise BuildFault("the viewer's page has no {{main}}")
    return template.replace("{{main}}", main)
