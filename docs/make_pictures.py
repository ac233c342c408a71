"""Refresh the pictures of the README from a demo run: ``make demo && python docs/make_pictures.py demo-out``."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

PICTURES = {"dose.png": 1000, "curves.png": 800, "cumulative.png": 800}
COLOURS = 192


def main() -> None:
    """Shrink the demo's pictures of its last cycle into docs/pictures."""
    source = Path(sys.argv[1]) / "cycle-2" / "pictures"
    target = Path(__file__).parent / "pictures"
    target.mkdir(exist_ok=True)
    for name, width in PICTURES.items():
        with Image.open(source / name) as picture:
            small = picture.convert("RGB").resize(
                (width, picture.height * width // picture.width), Image.Resampling.LANCZOS
            )
            small.quantize(COLOURS).save(target / name, optimize=True)


if __name__ == "__main__":
    main()
