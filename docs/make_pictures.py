"""Refresh the pictures of the README from a demo run: ``make demo && python docs/make_pictures.py demo-out``."""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.image import thumbnail

PICTURES = {"dose.png": 0.75, "curves.png": 0.6, "cumulative.png": 0.6}


def main() -> None:
    """Shrink the demo's pictures of its last cycle into docs/pictures."""
    source = Path(sys.argv[1]) / "cycle-2" / "pictures"
    target = Path(__file__).parent / "pictures"
    target.mkdir(exist_ok=True)
    for name, scale in PICTURES.items():
        thumbnail(str(source / name), str(target / name), scale=scale)


if __name__ == "__main__":
    main()
