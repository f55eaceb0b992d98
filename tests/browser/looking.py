"""What a browser test asks of the viewer: is there an image?"""

from __future__ import annotations

import io

import pytest
from PIL import Image
from playwright.async_api import FrameLocator, Page

FEWEST_GREYS = 20


async def greys(viewer: FrameLocator) -> int:
    """How many grey levels the first canvas shows: one or two as long as nothing is drawn."""
    image = Image.open(io.BytesIO(await viewer.locator("canvas").first.screenshot())).convert("L")
    return len(image.getcolors(256) or ())


async def image_shown(page: Page) -> FrameLocator:
    """Wait until the viewer in the page has drawn one."""
    viewer = page.frame_locator("iframe[title='Images']")
    await viewer.locator("canvas").first.wait_for(timeout=30_000)
    for _ in range(100):
        if await greys(viewer) >= FEWEST_GREYS:
            return viewer
        await page.wait_for_timeout(300)
    pytest.fail("the viewer shows no image")
