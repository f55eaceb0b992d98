"""The bill of materials of the wheel: what others wrote that is in it or that it needs (CycloneDX 1.6)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from build_steps.registry import Package

NAME = "telerad-gateway.cdx.json"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def build(lock: Path, npm_lock: Path, shipped: Iterable[Package], version: str, into: Path) -> None:
    """Write the bill.

    Args:
        lock: pinned and hashed requirements of Python.
        npm_lock: of the front end.
        shipped: npm packages whose files are in the wheel though no lock file names them.
        version: of the wheel.
        into: the file to write.
    """
    seed = f"{lock.read_text('utf-8')}{npm_lock.read_text('utf-8')}{version}"
    bom = Bom(serial_number=uuid5(NAMESPACE_OID, seed))  # the same inputs are the same bill
    bom.metadata.component = ours = Component(
        name="telerad-gateway", version=version, type=ComponentType.APPLICATION, bom_ref="telerad-gateway"
    )
    for component in [*_python(lock), *_front_end(npm_lock), *map(_npm_package, shipped)]:
        bom.components.add(component)
    bom.register_dependency(ours, bom.components)
    writer = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text(writer.output_as_string(indent=2) + "\n", encoding="utf-8")


def _python(lock: Path) -> Iterator[Component]:
    """One component a pin, with the digests of all its wheels: which is installed, the machine decides."""
    for block in re.split(r"\n(?=\S)", lock.read_text("utf-8")):
        pinned = _PINNED.match(block)
        if pinned:
            name, version = pinned.groups()
            hashes = [HashType(alg=HashAlgorithm.SHA_256, content=one) for one in _HASH.findall(block)]
            yield _component("pypi", name, version, hashes)


def _front_end(npm_lock: Path) -> Iterator[Component]:
    """What is bundled into the portal: what the lock does not mark as for development alone."""
    for place, facts in json.loads(npm_lock.read_text("utf-8"))["packages"].items():
        if place and not facts.get("dev") and "integrity" in facts:
            name = place.rpartition("node_modules/")[2]
            yield _component("npm", name, facts["version"], [_sha512(facts["integrity"].partition("-")[2])])


def _npm_package(package: Package) -> Component:
    return _component("npm", package.name, package.version, [_sha512(package.sha512)])


def _sha512(text: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_512, content=base64.b64decode(text).hex())


def _component(kind: str, name: str, version: str, hashes: list[HashType]) -> Component:
    namespace, _, short = name.rpartition("/")
    url = PackageURL(kind, namespace or None, short, version)
    return Component(name=name, version=version, purl=url, bom_ref=str(url), hashes=hashes)
