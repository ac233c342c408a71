"""Words and types that several commands share: choices, exit codes, and how a document is shown."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

Document = dict[str, Any]

EXIT_DEFECT = 1
EXIT_REFUSED = 2
EXIT_LOOK = 3


class Dialect(StrEnum):
    """How a phantom's SPECT is written."""

    NM_COUNTS = "nm-counts"
    NM_RWV = "nm-rwv"
    PET_BQML = "pet-bqml"


class Kind(StrEnum):
    """Kinds of phantom."""

    PATIENT = "patient"
    NEMA_IEC = "nema-iec"
    CYLINDER = "cylinder"


class Engine(StrEnum):
    """Dose engines."""

    CONVOLUTION = "convolution"
    MC = "mc"
    LOCAL = "local"


class BackendName(StrEnum):
    """Where arrays are computed."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


class Laterality(StrEnum):
    """Sides of a paired organ."""

    LEFT = "left"
    RIGHT = "right"


class Model(StrEnum):
    """Kinetic models."""

    AUTO = "auto"
    AVERAGE = "average"
    MONO = "mono"
    BI = "bi"
    TRI = "tri"
    TRAPEZOID = "trapezoid"


class Head(StrEnum):
    """What is assumed before the first point."""

    EXTRAPOLATE = "extrapolate"
    CONSTANT = "constant"
    RAMP = "ramp"


class Tail(StrEnum):
    """What is assumed after the last point."""

    FITTED = "fitted"
    PHYSICAL = "physical"


class Role(StrEnum):
    """Who signs: the physicist for the dose, the physician for the decision."""

    PHYSICIST = "physicist"
    PHYSICIAN = "physician"


Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output; all else on standard error.")]
Records = Annotated[str, typer.Option("--records", help="Record database, as `sqlite:///records.db`.")]
Patient = Annotated[str, typer.Argument(help="Patient key (the pseudonym of the cycle form).")]


def emit(document: Document, as_json: bool, show: Callable[[Document], None]) -> None:
    """Print the document as JSON, or let ``show`` lay it out for a reader."""
    from pipeline.console import print_json

    if as_json:
        print_json(document)
    else:
        show(document)


def parse_date(text: str, where: str) -> date:
    """Return the date of ``YYYY-MM-DD``, or refuse it, naming the option."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise RefusalError(
            "DATE_INVALID", found=text, needed="a date as YYYY-MM-DD", do="write the date in ISO form", where=where
        ) from error
