"""A fault changes what it says and nothing else; gates that look at files alone refuse or flag it."""

from __future__ import annotations

import filecmp
import json
import tomllib
from pathlib import Path

import pydicom
import pytest

from pipeline.errors import RefusalError
from pipeline.files.forms import load_cycle_form
from pipeline.settings import load_site
from pipeline.steps.ingest import ingest
from sample_dicom.faults import FAULTS
from sample_dicom.write import write_phantom


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Perfect phantoms with a fault, by its name; None: without."""
    made: dict[str | None, Path] = {}

    def of(fault: str | None) -> Path:
        if fault not in made:
            made[fault] = tmp_path_factory.mktemp(fault or "clean")
            write_phantom(made[fault], kind="patient", perfect=True, seed=2, cycles=1, fault=fault)
        return made[fault]

    return of


def changed(clean: Path, faulty: Path) -> set[str]:
    """Names of the parts that differ: form, site, contours, or a scan's image."""
    names = {path.relative_to(clean).as_posix() for path in clean.rglob("*") if path.is_file()}
    names |= {path.relative_to(faulty).as_posix() for path in faulty.rglob("*") if path.is_file()}
    differ = {
        name
        for name in names
        if not ((clean / name).exists() and (faulty / name).exists())
        or not filecmp.cmp(clean / name, faulty / name, shallow=False)
    }
    return {name.rsplit("/", 1)[0] if "/tp-" in name else name for name in differ}


def study(folder: Path):
    return ingest(
        [folder / "cycle-1"], load_site(folder / "site.toml"), load_cycle_form(folder / "cycle-1" / "cycle.toml")
    )


def codes(folder: Path) -> set[tuple[str, str]]:
    return {(flag.code, flag.level) for flag in study(folder).flags}


@pytest.mark.parametrize(
    ("fault", "parts"),
    [
        ("calibration-factor-x2", {"site.toml"}),
        ("sides-swapped", {"cycle-1/contours.json"}),
        ("date-1d", {"cycle-1/cycle.toml"}),
        ("clock-1h", {"cycle-1/tp-2/spect", "cycle-1/tp-2/ct"}),
        ("lost-scan", {"cycle-1/tp-2/spect", "cycle-1/tp-2/ct"}),
        ("half-slices", {"cycle-1/tp-2/spect"}),
        ("wrong-ct", {"cycle-1/tp-2/ct"}),
        # A perfect phantom's counts fill 16 bits: raised values need a larger factor, which stands in the profile.
        ("decay-reference", {f"cycle-1/tp-{n}/spect" for n in (1, 2, 3)} | {"site.toml"}),
    ],
)
def test_a_fault_touches_only_its_files(written, fault, parts):
    assert changed(written(None), written(fault)) == parts


def test_a_phantom_without_fault_passes(written):
    assert codes(written(None)) == set()


def test_every_fault_has_a_text_and_an_unknown_one_is_refused(tmp_path):
    assert len(FAULTS) == 10
    assert all(len(fault.text) > 20 for fault in FAULTS.values())
    with pytest.raises(RefusalError) as refused:
        write_phantom(tmp_path / "never", kind="patient", fault="gremlins")
    assert refused.value.code == "PHANTOM_UNKNOWN"
    with pytest.raises(RefusalError):
        write_phantom(tmp_path / "never", kind="cylinder", fault="date-1d")
    assert not (tmp_path / "never").exists()


def test_doubled_factor_is_refused_before_anything_is_computed(written):
    with pytest.raises(RefusalError) as refused:
        study(written("calibration-factor-x2"))
    assert refused.value.code == "CALIBRATION_CONTRADICTORY"


def test_a_date_off_by_a_day_is_found_by_the_plan(written):
    assert codes(written("date-1d")) == {("ADMINISTRATION_DATE_DOUBTFUL", "BLOCK")}


def test_a_lost_scan_is_found_by_the_plan(written):
    assert codes(written("lost-scan")) == {("SCAN_MISSING", "BLOCK")}


def test_a_clock_that_is_wrong_in_all_headers_of_a_scan_is_not_found(written):
    """Nothing in the files contradicts it: docs/faults.md says what it costs."""
    assert codes(written("clock-1h")) == set()


def test_the_ct_clock_betrays_a_spect_clock(written, tmp_path):
    folder = written(None)
    (tmp_path / "site.toml").write_bytes((folder / "site.toml").read_bytes())
    for source in (folder / "cycle-1").rglob("*"):
        if source.is_file():
            target = tmp_path / source.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    path = tmp_path / "cycle-1" / "tp-1" / "spect" / "spect.dcm"
    dataset = pydicom.dcmread(path)
    hour, rest = int(dataset.AcquisitionTime[:2]), dataset.AcquisitionTime[2:]
    dataset.AcquisitionTime = f"{hour - 1:02d}{rest}"
    dataset.save_as(path)
    assert codes(tmp_path) == {("SESSION_CLOCKS_DIFFER", "BLOCK")}


def test_swapped_sides_stand_in_the_contours(written):
    described = json.loads((written("sides-swapped") / "cycle-1" / "contours.json").read_text())
    assert {entry["name"]: entry["laterality"] for entry in described.values()}["kidney"] in {"left", "right"}
    clean = json.loads((written(None) / "cycle-1" / "contours.json").read_text())
    assert (described["1"]["laterality"], clean["1"]["laterality"]) == ("right", "left")


def test_site_profile_states_what_the_gates_need(written):
    site = tomllib.loads((written(None) / "site.toml").read_text())
    (camera,) = site["camera"].values()
    assert camera["sensitivity_cps_per_mbq"] == pytest.approx(1e6 / camera["calibration_factor_bq_s_per_count"], 0.01)
    assert site["acquisition"]["planned_scans_h"] == [24.0, 96.0, 168.0]
