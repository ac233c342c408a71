"""Seconds from opening a look page on disk to its first picture, in headless Chromium with software rendering.

Run: ``python benchmarks/bench_page.py demo-out/cycle-2/index.html`` (needs Chromium).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = (
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader",
)  # fmt: skip
ROUNDS = 5


def main() -> None:
    """Print the median and the range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    path = parser.parse_args().page.resolve()
    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        for _ in range(ROUNDS):
            context = browser.new_context(viewport={"width": 1600, "height": 1000})
            page = context.new_page()
            page.goto(path.as_uri())
            page.wait_for_selector("body[data-ready]", timeout=60_000)
            # The page notes when its first picture stood, in ms since it was opened.
            seconds.append(float(page.evaluate("Number(document.body.dataset.ready)")) / 1000)
            context.close()
        browser.close()
    print(
        f"{path.stat().st_size / 1e6:.1f} MB; first picture after {statistics.median(seconds):.2f} s "
        f"(median of {ROUNDS}; {min(seconds):.2f} to {max(seconds):.2f})"
    )


if __name__ == "__main__":
    main()
