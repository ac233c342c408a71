"""The command ``prrt``. Heavy imports stand inside the commands, so that ``prrt --help`` answers at once."""

from __future__ import annotations

import sys

# each module hangs its commands on the application; the order is that of the help page
# isort: off
from pipeline.cli import cycles, patients, uncertainty, curves, doses, rules, phantoms, cameras, commissioning  # noqa: F401

# isort: on
from pipeline.cli.application import app
from pipeline.cli.options import EXIT_REFUSED
from pipeline.errors import RefusalError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; turn a refusal into exit code 2 and its JSON document."""
    from pipeline.console import print_json, show_refusal

    try:
        app()
    except RefusalError as refusal:
        document = refusal.as_document()
        if "--json" in sys.argv:
            print_json(document)
        show_refusal(document)
        sys.exit(EXIT_REFUSED)
