"""The fonts that reports are set in: Noto Sans (Latin, Greek, Cyrillic) and Noto Sans SC (Chinese)."""

from __future__ import annotations

import shutil
from pathlib import Path

from build_steps.faults import BuildFault
from build_steps.node import Node
from build_steps.registry import Package, extract, fetch

PACKAGES: dict[Package, dict[str, str]] = {
    Package(
        "@expo-google-fonts/noto-sans",
        "0.4.2",
        "zYD8G2ijWLxqmquoQgghNh/x9p0yxWwArD0oxO1oXY1qx5vOd4t0Kbhnu/Cx8RTy08OgA8RtxuULZFaXwVPnPw==",
        "OFL-1.1",
    ): {
        "400Regular/NotoSans_400Regular.ttf": "NotoSans-Regular.ttf",
        "700Bold/NotoSans_700Bold.ttf": "NotoSans-Bold.ttf",
        "LICENSE_FONT": "OFL.txt",
    },
    Package(
        "@expo-google-fonts/noto-sans-sc",
        "0.4.3",
        "9rAwdFTFHbO/u6Cs0gj2jZbW74TGIiaFNQnXYH2s5wA1bzVkwbaviL4t8YUV642eGYjg86eH6DkAEQmfNHDncQ==",
        "OFL-1.1",
    ): {
        "400Regular/NotoSansSC_400Regular.ttf": "NotoSansSC-Regular.ttf",
        "700Bold/NotoSansSC_700Bold.ttf": "NotoSansSC-Bold.ttf",
        "LICENSE_FONT": "OFL-SC.txt",
    },
}


def build(node: Node, scratch: Path, into: Path) -> None:
    """Fill the folder of report fonts.

    Raises:
        BuildFault: a package cannot be fetched, is not the pinned one or lacks a font.
    """
    made = scratch / "fonts"
    for package, wanted in PACKAGES.items():
        archive = fetch(node, package, scratch / "download")
        if extract(archive, made, wanted.get) != len(wanted):
            raise BuildFault(f"{package.name}@{package.version} lacks one of {', '.join(wanted)}")
        archive.unlink()
    shutil.rmtree(into, ignore_errors=True)
    made.rename(into)
