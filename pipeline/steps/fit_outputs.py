"""Fitted curves as files: a table of the results and a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusalError
from pipeline.files.curve_table import require_table_path, write_fit_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def require_fit_outputs(source: Path, table: Path | None, plot: Path | None) -> None:
    """Refuse names that cannot be written before anything is fitted.

    Raises
    ------
    RefusalError
        ``TABLE_FORMAT_UNKNOWN``, ``PLOT_FORMAT_UNKNOWN``, ``OUTPUT_IS_INPUT``.
    """
    if table is not None:
        require_table_path(table, source)
    if plot is not None:
        from pipeline.report.curve_figure import require_plot_path

        require_plot_path(plot)


def write_fit_outputs(document: dict[str, Any], table: Path | None, plot: Path | None) -> None:
    """Write the document of ``prrt fit`` as a table (``.csv``, ``.xlsx``) and as a picture (``.png``, ``.svg``).

    Raises
    ------
    RefusalError
        ``OUTPUT_UNWRITABLE``.
    """
    if table is not None:
        written(table, lambda: write_fit_table(table, document))
    if plot is not None:
        from pipeline.report.curve_figure import write_fit_plot

        written(plot, lambda: write_fit_plot(plot, document))


def written(path: Path, write: Callable[[], None]) -> None:
    """Write a file, or refuse with its name (``OUTPUT_UNWRITABLE``): no folder, no right, open in another program."""
    try:
        write()
    except OSError as error:
        raise RefusalError(
            "OUTPUT_UNWRITABLE",
            found=type(error).__name__,
            needed="a file that may be written, in a folder that exists",
            do="make the folder, or close the file in the other program",
            where=path.name,
        ) from error
