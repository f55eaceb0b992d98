"""Pictures of the portal for the README, from a running demo.

`python -m tests.browser.screenshots OUT_FOLDER [DEMO_FOLDER]` logs in as the demo's lead reader and takes
`worklist.jpg`, `reading.jpg` and `mpr.jpg`; it leaves a draft in the case it opens. Then, as the administrator,
`edges.jpg` and `alerts.jpg`. Without a demo it shows the double of the tests.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

from playwright.async_api import Page, async_playwright

from tests.browser.looking import image_shown
from tests.browser.portal import log_in
from tests.doubles import portal_api

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
SIZE = {"width": 1600, "height": 900}
QUALITY = 82
DRAFT = {
    "Technique": "Non-contrast axial CT, 2 mm, soft tissue kernel.",
    "Findings": (
        "Hyperdense focus in the left basal ganglia, 34 × 22 × 24 mm, with a thin rim of oedema. "
        "No midline shift, no extension into the ventricles.\nNo fracture. Sinuses and mastoids clear."
    ),
    "Impression": "Acute haemorrhage of the left basal ganglia.",
}


async def take(page: Page, into: Path, name: str) -> None:
    await page.screenshot(path=into / f"{name}.jpg", type="jpeg", quality=QUALITY)


async def pictures(page: Page, into: Path) -> None:
    await page.get_by_role("button", name="Both").click()
    await page.locator("tbody tr").first.wait_for()
    await page.wait_for_timeout(500)
    await take(page, into, "worklist")
    row = page.locator("tbody tr", has_text="Phantom").first
    await row.click()
    viewer = await image_shown(page)
    await page.wait_for_timeout(5000)  # the rest of the series
    box = await viewer.locator("canvas").first.bounding_box()
    if box:
        await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        for _ in range(40):
            await page.mouse.wheel(0, 100)
            await page.wait_for_timeout(40)
    for field, text in DRAFT.items():
        if await page.get_by_label(field, exact=True).count():
            await page.get_by_label(field, exact=True).fill(text)
    await page.wait_for_timeout(1500)
    await take(page, into, "reading")
    await viewer.locator("[data-cy='layout-button']").click()
    await viewer.get_by_text("MPR", exact=True).click()
    await page.wait_for_timeout(8000)
    await take(page, into, "mpr")


async def administration(page: Page, into: Path) -> None:
    """What an administrator sees; a demo has few edges, so the window is low."""
    await page.set_viewport_size({**SIZE, "height": 480})
    await page.get_by_role("link", name="Administration").click()
    await page.locator("tr[data-edge]").first.wait_for()
    await page.wait_for_timeout(500)
    await take(page, into, "edges")
    await page.locator("tr-alert-count").get_by_role("link").click()
    await page.wait_for_timeout(500)
    await take(page, into, "alerts")


async def main(into: Path, demo: Path | None) -> None:
    into.mkdir(parents=True, exist_ok=True)
    runner = None
    if demo is None:
        runner, _, url = await portal_api.serve()
        reader, admin = (("vega", portal_api.PASSWORD), ("root", portal_api.PASSWORD))
    else:
        facts = json.loads((demo / "demo.json").read_text("utf-8"))
        known = {user["role"]: (user["name"], user["password"]) for user in facts["users"]}
        url, reader, admin = facts["hub"]["url"], known["lead"], known["admin"]  # a lead sees every case
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for (name, password), show in ((reader, pictures), (admin, administration)):
            # The demo's certificate comes from its own private authority.
            context = await browser.new_context(viewport=SIZE, ignore_https_errors=True, locale="en-GB")
            page = await context.new_page()
            await log_in(page, url, name, password, portal_api.CODE)
            await show(page, into)
            await context.close()
        await browser.close()
    if runner:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
