"""The command ``prrt``. Heavy imports stand inside the commands, so that ``prrt --help`` answers at once."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

Document = dict[str, Any]

EXIT_DEFECT = 1
EXIT_REFUSED = 2
EXIT_LOOK = 3

app = typer.Typer(
    name="prrt",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""Image-based dosimetry for 177Lu-DOTATATE therapy: from DICOM to a signed decision.

    **First steps**

    `prrt phantom demo` makes a patient as DICOM, with site profile, cycle forms and truth.

    `prrt process demo/cycle-1 --site demo/site.toml --cycle-form demo/cycle-1/cycle.toml --blood demo/cycle-1/blood.csv
    --records sqlite:///demo/records.db --out demo/out-1` quantifies, fits, computes the dose and files it.

    `prrt record`, `prrt sign` and `prrt decide` follow. For your own camera start with `prrt init-site site.toml`.

    **Exit codes**: 0 done; 1 a defect of ours; 2 the input was refused and nothing was filed; 3 done, but a person must
    look.
    """,
)
rules_app = typer.Typer(no_args_is_help=True, help="The clinical rules on their own.")
app.add_typer(rules_app, name="rules")


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


def _emit(document: Document, as_json: bool, show: Callable[[Document], None]) -> None:
    from pipeline.console import print_json

    if as_json:
        print_json(document)
    else:
        show(document)


@app.command()
def inspect(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders of DICOM.")],
    as_json: Json = False,
) -> None:
    """Say what each series is, how it is encoded, and whether it may be used.

    Example: `prrt inspect demo/cycle-1`
    """
    from pipeline.console import show_series
    from pipeline.steps.inspect_series import inspect_paths

    _emit(inspect_paths(paths), as_json, show_series)


@app.command()
def process(
    studies: Annotated[list[Path], typer.Argument(help="Folders of one patient and one cycle.")],
    site: Annotated[Path, typer.Option(help="Site profile (see `prrt init-site`).")],
    records: Records,
    out: Annotated[Path, typer.Option(help="Folder for result.json, report.pdf, maps and pictures.")],
    cycle_form: Annotated[Path | None, typer.Option(help="Cycle form (see `prrt init-cycle`).")] = None,
    blood: Annotated[Path | None, typer.Option(help="CSV `time_h,activity_bq_per_ml`.")] = None,
    contours: Annotated[list[Path] | None, typer.Option(help="Label map (.nii.gz, its .json beside it).")] = None,
    engine: Annotated[Engine, typer.Option(help="Dose engine.")] = Engine.CONVOLUTION,
    backend: Annotated[BackendName, typer.Option(help="`gpu` fails without one; `auto` falls back and says so.")] = (
        BackendName.AUTO
    ),
    as_json: Json = False,
) -> None:
    """Process one cycle: DICOM to dose, filed with its provenance and reported.

    An interrupted run resumes: give the same command again.

    Example: `prrt process demo/cycle-1 --site demo/site.toml --cycle-form demo/cycle-1/cycle.toml
    --records sqlite:///demo/records.db --out demo/out-1`
    """
    from pipeline.console import progress, show_decision, show_result
    from pipeline.steps.attention import needs_a_person
    from pipeline.steps.request import request_document

    request = request_document(
        studies=studies,
        site=site,
        cycle_form=cycle_form,
        blood=blood,
        contours=contours or [],
        engine=engine.value,
        backend=backend.value,
        out=out,
    )
    with progress("process", quiet=as_json) as announce:
        from flows.cycle import run_cycle

        filed = run_cycle(request, records=records, out=out, announce=announce)

    def show(result: Document) -> None:
        show_result(result)
        show_decision(result["decision"])
        typer.echo(f"page     {out / 'index.html'}\nreport   {out / 'report.pdf'}\nresult   {out / 'result.json'}")
        typer.echo("filed" if filed["created"] else "already filed before: nothing changed")

    result = filed["result"]
    _emit(result, as_json, show)
    raise typer.Exit(EXIT_LOOK if needs_a_person(result) else 0)


@app.command()
def watch(
    inbox: Annotated[Path, typer.Argument(help="Folder that receives studies: one sub-folder or zip per cycle.")],
    site: Annotated[Path, typer.Option(help="Site profile (see `prrt init-site`).")],
    records: Records,
    out: Annotated[Path, typer.Option(help="Folder for the results, one sub-folder per study.")],
    once: Annotated[bool, typer.Option("--once", help="Handle what is there and end.")] = False,
    parallel: Annotated[int, typer.Option(help="Studies at the same time.", min=1, max=64)] = 2,
    stable_s: Annotated[float, typer.Option(help="A study is whole when nothing changed for so long.", min=0.1)] = 10.0,
    give_up_h: Annotated[float, typer.Option(help="A study that waits longer needs a person.", min=0.0)] = 24.0,
    engine: Annotated[Engine, typer.Option(help="Dose engine.")] = Engine.CONVOLUTION,
    backend: Annotated[BackendName, typer.Option(help="`gpu` fails without one; `auto` falls back and says so.")] = (
        BackendName.AUTO
    ),
    as_json: Json = False,
) -> None:
    """Process every study that arrives complete in a folder, each once; say what the others wait for.

    A study holds the DICOM of one cycle, its `cycle.toml`, and `blood.csv` and `contours.nii.gz` where there are any.
    A watch that was killed loses nothing: start it again.

    Example: `prrt watch inbox --site site.toml --records sqlite:///records.db --out results --once`
    """
    from flows.watch import WatchWish
    from flows.watch import watch as watch_inbox
    from pipeline.console import show_study, show_study_count

    wish = WatchWish(inbox, site, records, out, parallel, stable_s, give_up_h, engine.value, backend.value)
    handled = watch_inbox(wish, once=once, tell=(lambda _: None) if as_json else show_study)
    _emit(handled, as_json, show_study_count)
    raise typer.Exit(EXIT_LOOK if any(study["needs_a_person"] for study in handled["studies"]) else 0)


@app.command()
def record(
    patient: Patient,
    records: Records,
    labs: Annotated[Path | None, typer.Option(help="CSV `date,wbc,granulocytes,platelets[,...]`.")] = None,
    imaging: Annotated[Path | None, typer.Option(help="CSV `date,modality,recist`.")] = None,
    event: Annotated[Path | None, typer.Option(help="TOML: flags, orders, burden points.")] = None,
    as_json: Json = False,
) -> None:
    """Add laboratory values, response imaging or an event to a patient's record.

    Example: `prrt record phantom-1 --records sqlite:///demo/records.db --labs demo/labs.csv`
    """
    from pipeline.records.store import open_store
    from pipeline.steps.record_events import record_files

    with open_store(records) as store:
        added = record_files(store, patient, labs=labs, imaging=imaging, event=event, at=datetime.now(UTC))
    _emit(added, as_json, _show_plain)


@app.command()
def sign(
    patient: Patient,
    cycle: Annotated[int, typer.Option(help="Cycle number.")],
    role: Annotated[Role, typer.Option(help="Physicist (dose) or physician (decision).")],
    by: Annotated[str, typer.Option(help="Who signs.")],
    records: Records,
    reason: Annotated[str, typer.Option(help="Needed where a check failed or a flag blocks.")] = "",
    version: Annotated[
        int | None, typer.Option(min=1, help="The version that was reviewed; needed where the cycle has several.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Sign a filed cycle; a signed version never changes.

    Example: `prrt sign phantom-1 --cycle 1 --role physicist --by "A. Physicist" --records sqlite:///demo/records.db`
    """
    from pipeline.records.store import open_store
    from pipeline.steps.sign import sign_cycle

    with open_store(records) as store:
        signed = sign_cycle(
            store, patient, cycle=cycle, role=role.value, by=by, reason=reason, at=datetime.now(UTC), version=version
        )
    _emit(signed, as_json, _show_plain)


@app.command()
def decide(
    patient: Patient,
    on: Annotated[str, typer.Option(help="Date of the decision, YYYY-MM-DD.")],
    records: Records,
    activity_gbq: Annotated[float | None, typer.Option(help="Planned activity; default: the protocol's.")] = None,
    as_json: Json = False,
) -> None:
    """Evaluate every rule of the protocol: may the next cycle be given on this date?

    Example: `prrt decide phantom-1 --on 2026-04-20 --records sqlite:///demo/records.db`
    """
    from pipeline.console import show_decision
    from pipeline.records.store import open_store
    from pipeline.steps.decide import decide_next

    day = _date(on, "--on")
    with open_store(records) as store:
        decision = decide_next(store, patient, on=day, planned_activity_gbq=activity_gbq)
    _emit(decision, as_json, show_decision)
    raise typer.Exit(EXIT_LOOK if decision["outcome"] == "REFER" else 0)


@app.command()
def show(
    patient: Patient,
    records: Records,
    as_of: Annotated[str | None, typer.Option(help="Only what was recorded by this date, YYYY-MM-DD.")] = None,
    as_json: Json = False,
) -> None:
    """Show a patient's record.

    Example: `prrt show phantom-1 --records sqlite:///demo/records.db --json`
    """
    from pipeline.records.store import open_store
    from pipeline.steps.show import show_patient

    with open_store(records) as store:
        document = show_patient(store, patient, as_of=_date(as_of, "--as-of") if as_of else None)
    _emit(document, as_json, _show_record)


@app.command()
def explain(
    patient: Patient,
    cycle: Annotated[int, typer.Option(help="Cycle number.")],
    region: Annotated[str, typer.Option(help="Name as in the result, as `kidney` or `lesion-1`.")],
    records: Records,
    laterality: Annotated[Laterality | None, typer.Option(help="For a paired organ.")] = None,
    as_json: Json = False,
) -> None:
    """Show how one dose came about, factor by factor, multiplied back to what was filed.

    Example: `prrt explain phantom-1 --cycle 1 --region kidney --laterality left --records sqlite:///demo/records.db`
    """
    from pipeline.console_ledger import show_ledger
    from pipeline.records.store import open_store
    from pipeline.steps.explain import explain as explain_dose

    side = laterality.value if laterality else None
    with open_store(records) as store:
        document = explain_dose(store, patient, cycle=cycle, region=region, laterality=side)
    _emit(document, as_json, show_ledger)


@app.command()
def fit(
    curves: Annotated[Path, typer.Argument(help="CSV `region,time_h,activity_bq[,sigma_bq]`.")],
    nuclide: Annotated[str, typer.Option(help="As Lu-177.")],
    model: Annotated[Model, typer.Option(help="`auto` chooses by AICc among what the points carry.")] = Model.AUTO,
    head: Annotated[Head, typer.Option(help="Before the first point.")] = Head.EXTRAPOLATE,
    tail: Annotated[Tail, typer.Option(help="After the last point.")] = Tail.FITTED,
    as_json: Json = False,
) -> None:
    """Fit time-activity curves and integrate them.

    Example: `prrt fit curves.csv --nuclide Lu-177 --head constant`
    """
    from pipeline.console import show_rows
    from pipeline.steps.fit_curves import fit_file

    columns = {
        "region": "region",
        "model": "model",
        "effective_half_life_s": "T_eff s",
        "tia_bq_s": "TIA Bq s",
        "tia_sigma_bq_s": "sigma Bq s",
        "extrapolated_fraction": "extrapolated",
        "flags": "flags",
    }
    document = fit_file(curves, nuclide, model.value, head.value, tail.value)
    _emit(document, as_json, lambda d: show_rows("Fits", d["regions"], columns))


@app.command()
def dose(
    tia: Annotated[Path, typer.Option(help="TIA map, Bq s/mL (.nii.gz).")],
    density: Annotated[Path, typer.Option(help="Density map, g/cm3, on the same grid.")],
    nuclide: Annotated[str, typer.Option(help="As Lu-177.")],
    out: Annotated[Path, typer.Option(help="Dose map to write, Gy (.nii.gz).")],
    engine: Annotated[Engine, typer.Option(help="Dose engine.")] = Engine.CONVOLUTION,
    backend: Annotated[BackendName, typer.Option(help="`gpu` fails without one.")] = BackendName.AUTO,
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
    from pipeline.console import show_rows
    from pipeline.steps.dose_maps import DoseMapRequest, dose_from_files

    request = DoseMapRequest(
        tia, density, nuclide, out, engine.value, backend.value, seed, precision, labels, materials, material_names
    )

    def show_table(d: Document) -> None:
        rows = [{"label": k, "gy": v, "sigma": d["sigma_gy"][k]} for k, v in d["mean_dose_gy"].items()]
        show_rows(f"{d['engine']} on {d['backend']}", rows, {"label": "label", "gy": "Gy", "sigma": "sigma Gy"})

    _emit(dose_from_files(request), as_json, show_table)


@app.command()
def kernel(
    nuclide: Annotated[str, typer.Option(help="As Lu-177.")],
    voxel: Annotated[tuple[float, float, float], typer.Option(help="Voxel size in mm: slice, row, column.")],
    medium: Annotated[str, typer.Option(help="Medium of the point kernel.")] = "water",
    extent: Annotated[int, typer.Option(help="Steps along each axis.", min=0, max=64)] = 10,
    as_json: Json = False,
) -> None:
    """Print voxel S values of any voxel size, electrons and photons apart.

    Example: `prrt kernel --nuclide Lu-177 --voxel 4.8 4.8 4.8`
    """
    from pipeline.console import show_rows
    from pipeline.steps.dose_tools import kernel_document

    document = kernel_document(nuclide, voxel, medium, extent)
    columns = {"k": "k (z, y, x)", "electron": "electron", "photon": "photon", "total": "total"}
    _emit(document, as_json, lambda d: show_rows(f"S values, {d['unit']}", d["s_values"][:40], columns))


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
    _emit(document, as_json, lambda d: show_rows("Spheres", d["spheres"], columns))


@rules_app.command("check")
def rules_check(
    cases: Annotated[Path, typer.Argument(help="JSON list of cases.")],
    as_json: Json = False,
) -> None:
    """Run decision cases through the rules; exit 1 where one with `expected` disagrees."""
    from pipeline.console import show_rows
    from pipeline.steps.rules_check import check_rules

    document = check_rules(cases)
    columns = {"id": "case", "outcome": "outcome", "reasons": "reasons", "advisories": "advisories", "agrees": "agrees"}
    _emit(document, as_json, lambda d: show_rows("Cases", d["cases"], columns))
    raise typer.Exit(EXIT_DEFECT if any(case["agrees"] is False for case in document["cases"]) else 0)


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    kind: Annotated[Kind, typer.Option(help="What to make.")] = Kind.PATIENT,
    dialect: Annotated[Dialect, typer.Option(help="How the SPECT is encoded.")] = Dialect.NM_COUNTS,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 1,
    perfect: Annotated[bool, typer.Option("--perfect", help="No blur, noise or motion; mono-exponential.")] = False,
    fault: Annotated[str | None, typer.Option(help="Put a fault in (docs/faults.md lists them).")] = None,
    as_json: Json = False,
) -> None:
    """Make a phantom as real DICOM, with site profile, forms, contours and truth.

    Example: `prrt phantom demo --seed 7`
    """
    from pipeline.console import errors
    from sample_dicom.write import write_phantom

    say = None if as_json else errors().print
    made = write_phantom(
        out, kind=kind.value, dialect=dialect.value, seed=seed, perfect=perfect, fault=fault, progress=say
    )
    _emit(made, as_json, _show_plain)


@app.command()
def calibrate(
    scans: Annotated[list[Path], typer.Argument(help="Folders of the phantom scans.")],
    form: Annotated[Path, typer.Option(help="Calibration form (see `prrt init-calibration`).")],
    out: Annotated[Path, typer.Option(help="Folder for camera.toml, calibration.json and the page.")],
    as_json: Json = False,
) -> None:
    """Turn phantom scans with known activities into a camera's section of the site profile.

    Example: `prrt calibrate cylinder/cycle-1 nema/cycle-1 --form calibration.toml --out calibration`
    """
    from pipeline.console import show_calibration
    from pipeline.steps.calibrate import calibrate_scans

    _emit(calibrate_scans(scans, form, out), as_json, show_calibration)


@app.command("init-calibration")
def init_calibration(path: Annotated[Path, typer.Argument(help="File to write.")] = Path("calibration.toml")) -> None:
    """Write a commented calibration form to fill in."""
    from pipeline.steps.init_files import write_calibration_form_template

    write_calibration_form_template(path)
    typer.echo(f"wrote {path}: fill it in, then run `prrt calibrate --form {path}`")


@app.command("init-site")
def init_site(path: Annotated[Path, typer.Argument(help="File to write.")] = Path("site.toml")) -> None:
    """Write a commented site profile to fill in."""
    from pipeline.steps.init_files import write_site_template

    write_site_template(path)
    typer.echo(f"wrote {path}: fill in what has no default, then run `prrt process --site {path}`")


@app.command("init-cycle")
def init_cycle(path: Annotated[Path, typer.Argument(help="File to write.")] = Path("cycle.toml")) -> None:
    """Write a commented cycle form to fill in."""
    from pipeline.steps.init_files import write_cycle_form_template

    write_cycle_form_template(path)
    typer.echo(f"wrote {path}: fill it in, then run `prrt process --cycle-form {path}`")


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder to write.")] = Path("demo-out"),
    seed: Annotated[int, typer.Option(help="Seed of the phantom.")] = 1,
) -> None:
    """Make a phantom patient and walk two cycles of it: process, record, sign, decide."""
    from flows.demo import run_demo

    run_demo(out, seed)


def _date(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise RefusalError(
            "DATE_INVALID", found=text, needed="a date as YYYY-MM-DD", do="write the date in ISO form", where=where
        ) from error


def _show_plain(document: Document) -> None:
    from pipeline.console import screen

    screen().print_json(data=document)


def _show_record(document: Document) -> None:
    _show_plain(document)


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
