"""Make the README's picture of a look page: ``python docs/make_page_picture.py DIR/index.html docs/pictures/page.png``.

Needs Chromium (``apt-get install chromium``) and the development extras; no network.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1600, 1000
FLAGS = ["--no-sandbox", "--disable-background-networking", "--enable-unsafe-swiftshader", "--hide-scrollbars"]
OPENED = "body[data-complete], body[data-error]"


def main() -> None:
    """Open the page, wait for all its volumes, and write what is shown."""
    page_file, picture = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(page_file.as_uri())
        page.wait_for_selector(OPENED, timeout=60_000)
        failed = page.locator("body").get_attribute("data-error")
        if failed:
            sys.exit(f"the page could not draw: {failed}")
        # two frames more, so that the last change is on the screen
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        picture.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
