"""Commands on dose kernels and dose maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.application import app
from pipeline.cli.options import BackendName, Document, Engine, Json, emit
from pipeline.errors import RefusalError


@app.command()
def dose(
    tia: Annotated[Path, typer.Option(help="TIA map, Bq s/mL (.nii.gz).")],
    density: Annotated[Path, typer.Option(help="Density map, g/cm3, on the same grid.")],
    nuclide: Annotated[str, typer.Option(help="As Lu-177.")],
    out: Annotated[Path, typer.Option(help="Dose map to write, Gy (.nii.gz).")],
    engine: Annotated[Engine, typer.Option(help="Dose engine.")] = Engine.CONVOLUTION,
    backend: Annotated[
        BackendName, typer.Option(help="`gpu` fails without one; `auto` falls back and says so.")
    ] = BackendName.AUTO,
    seed: Annotated[int, typer.Option(help="For engines that sample.")] = 1,
    precision: Annotated[
        float | None, typer.Option(help="Relative sigma of region means, for engines that sample.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Integer label map on the same grid.")] = None,
    materials: Annotated[Path | None, typer.Option(help="Integer material map, for engines that transport.")] = None,
    material_names: Annotated[Path | None, typer.Option(help="JSON: number -> material.")] = None,
    as_json: Json = False,
) -> None:
    """Compute a dose map from a TIA map and a density map.

    Example: `prrt dose --tia tia.nii.gz --density density.nii.gz --nuclide Lu-177 --out dose.nii.gz`
    """
    from pipeline.console import screen, show_flags, show_rows
    from pipeline.steps.dose_maps import DoseMapRequest, dose_from_files

    request = DoseMapRequest(
        tia, density, nuclide, out, engine.value, backend.value, seed, precision, labels, materials, material_names
    )

    def show_table(d: Document) -> None:
        screen().print(f"wrote {out} ({d['engine']} on {d['backend']})")
        rows = [{"label": k, "gy": v, "sigma": d["sigma_gy"][k]} for k, v in d["mean_dose_gy"].items()]
        if rows:
            show_rows("Mean dose", rows, {"label": "label", "gy": "Gy", "sigma": "sigma Gy"})
        columns = {"region": "region", "engine_gy": "Gy", "mean_dose_gy": "second check Gy", "difference": "difference"}
        show_rows("Second check", d["second_check"], columns | {"tolerance": "tolerance", "passed": "passed"})
        show_flags(d["flags"])

    emit(dose_from_files(request), as_json, show_table)


@app.command()
def kernel(
    nuclide: Annotated[str, typer.Option(help="As Lu-177.")],
    voxel: Annotated[
        tuple[float, float, float] | None,
        typer.Option(
            help="Voxel size in mm: slice, row, column. With --compare only where the file does not state it."
        ),
    ] = None,
    medium: Annotated[str, typer.Option(help="Medium of the point kernel.")] = "water",
    extent: Annotated[int, typer.Option(help="Steps along each axis.", min=0, max=64)] = 10,
    out: Annotated[Path | None, typer.Option(help="Write the kernel: .csv (octant) or .nii.gz (whole).")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw S against distance (.png).")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="Kernel from elsewhere (.csv octant, .nii.gz) or spheres (.csv, .json).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print voxel S values of any voxel size, electrons and photons apart; write, draw or compare them.

    Example: `prrt kernel --nuclide Lu-177 --voxel 4.8 4.8 4.8 --out kernel.csv --plot kernel.png`

    `prrt kernel --nuclide Lu-177 --compare theirs.nii.gz` shows where a kernel from elsewhere differs.
    """
    from pipeline.console import show_kernel, show_kernel_comparison
    from pipeline.steps.dose_tools import kernel_document
    from pipeline.steps.kernel_files import comparison_document

    if compare is not None:
        if out is not None:
            raise RefusalError(
                "KERNEL_REQUEST_CONTRADICTORY",
                found="--compare and --out",
                needed="one of them: a comparison writes no kernel",
                do="leave --out away, or write the kernel in a call of its own",
                where="--out",
            )
        emit(comparison_document(compare, nuclide, voxel, medium, plot), as_json, show_kernel_comparison)
        return
    if voxel is None:
        raise RefusalError(
            "KERNEL_SIZE_INVALID",
            found="no voxel size",
            needed="three sides in mm",
            do="give --voxel SLICE ROW COLUMN",
            where="--voxel",
        )
    emit(kernel_document(nuclide, voxel, medium, extent, out, plot), as_json, show_kernel)


@app.command()
def sphere(
    nuclide: Annotated[str, typer.Option(help="As Lu-177.")],
    mass_g: Annotated[list[float], typer.Option(help="Mass in g; may be given again.")],
    medium: Annotated[str, typer.Option(help="Medium of the point kernel.")] = "water",
    as_json: Json = False,
) -> None:
    """Print self S values of uniform spheres.

    Example: `prrt sphere --nuclide Lu-177 --mass-g 1 --mass-g 10`
    """
    from pipeline.console import show_rows
    from pipeline.steps.dose_tools import sphere_document

    columns = {
        "mass_g": "g",
        "s_mgy_per_mbq_s": "S mGy/(MBq s)",
        "electron_fraction": "electrons absorbed",
        "photon_fraction": "photons absorbed",
    }
    document = sphere_document(nuclide, mass_g, medium)
    emit(document, as_json, lambda d: show_rows("Spheres", d["spheres"], columns))
