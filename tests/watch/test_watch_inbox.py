"""What is a study, what is it made of, what does it still wait for."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from watch_studies import rewrite

from pipeline.errors import RefusalError
from pipeline.steps.inbox import Entry, content_key, entries, missing_of, parts_of, snapshot, waits_after


def test_folders_and_zips_are_studies(inbox: Path) -> None:
    for name in ("b", ".inbox", "a.d"):
        (inbox / name).mkdir()
    for name in ("c.ZIP", "loose.dcm", "Thumbs.db", ".DS_Store"):
        (inbox / name).touch()
    found, loose = entries(inbox)
    assert [(entry.name, entry.is_zip) for entry in found] == [("a.d", False), ("b", False), ("c.ZIP", True)]
    assert loose == 1


def test_a_missing_inbox_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusalError, match="PATH_MISSING"):
        entries(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "new").write_text("1"),
        lambda folder: (folder / "old").write_text("longer"),
        lambda folder: os.utime(folder / "old", (1, 2_000_000_000)),
        lambda folder: (folder / "old").unlink(),
        lambda folder: (folder / "old").rename(folder / "old.part"),
    ],
)
def test_a_snapshot_sees_every_kind_of_arrival(change: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "old").write_text("1")
    entry = Entry("study", tmp_path)
    before = snapshot(entry)
    assert snapshot(entry) == before
    change(tmp_path)
    assert snapshot(entry) != before


def test_names_of_a_running_transfer_are_seen(tmp_path: Path) -> None:
    (tmp_path / "1.dcm.filepart").touch()
    assert snapshot(Entry("study", tmp_path)).uploading == 1


def test_content_counts_not_names(study: Path) -> None:
    before = content_key(study)
    (study / "tp-1").rename(study / "another name")
    (study / ".DS_Store").write_text("left by a file manager")
    assert content_key(study) == before
    assert content_key(study.rename(study.with_name("renamed"))) == before


def test_more_content_and_a_new_role_are_another_study(study: Path) -> None:
    before = content_key(study)
    (study / "blood.csv").rename(study / "samples.csv")
    without_role = content_key(study)
    (study / "more").write_text("1")
    assert len({before, without_role, content_key(study)}) == 3


def test_parts_are_found_at_any_depth(study: Path) -> None:
    (study / "forms").mkdir()
    for name in ("cycle.toml", "blood.csv"):
        (study / name).rename(study / "forms" / name.upper())
    parts = parts_of(study)
    assert [p and p.name for p in (parts.form, parts.blood)] == ["CYCLE.TOML", "BLOOD.CSV"]
    assert [p.name for p in parts.contours] == ["contours.nii.gz", "contours.json"]


def test_two_cycles_in_one_study_are_refused(study: Path) -> None:
    shutil.copytree(study, study / "cycle-2", copy_function=os.link)
    with pytest.raises(RefusalError, match="STUDY_AMBIGUOUS"):
        parts_of(study)


def _missing(study: Path) -> str | None:
    return missing_of(parts_of(study))


def test_a_complete_study_waits_for_nothing(study: Path) -> None:
    assert _missing(study) is None


def _say_time_points(study: Path, count: int) -> None:
    text = (study / "cycle.toml").read_text(encoding="utf-8")
    rewrite(study / "cycle.toml", f"{text}\ntime_points = {count}\n")


@pytest.mark.parametrize(
    ("remove", "asked", "waits"),
    [
        (("cycle.toml",), None, "cycle.toml"),
        (("contours.json",), None, "contours.json"),
        (("tp-3/ct",), None, "the CT of each time point (2 of 3)"),
        (("tp-3",), None, None),
        (("tp-3",), 3, "1 more SPECT (2 of 3 time points)"),
        (("tp-2", "tp-3"), None, "1 more SPECT (1 of 2 time points)"),
        (("tp-2", "tp-3"), 1, None),
        (
            ("tp-1", "tp-2", "tp-3"),
            None,
            "2 more SPECT (0 of 2 time points), the CT of each time point (0 of 1)",
        ),
    ],
)
def test_what_is_missing_is_named(remove: tuple[str, ...], asked: int | None, waits: str | None, study: Path) -> None:
    for name in remove:
        path = study / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if asked is not None:
        _say_time_points(study, asked)
    assert _missing(study) == waits


def test_a_pet_object_says_how_many_slices_it_has(study: Path) -> None:
    """A series of PET Storage with Number of Slices (0054,0081) 4, of which 3 have arrived."""
    source = pydicom.dcmread(next((study / "tp-1" / "ct").iterdir()))
    source.SOPClassUID = source.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
    source.SeriesInstanceUID = "1.2.3"
    source.NumberOfSlices = 4
    for position in range(3):
        source.SOPInstanceUID = f"1.2.3.{position}"
        source.save_as(study / f"pet-{position}.dcm")
    assert _missing(study) == "the CT of each time point (3 of 4), 1 slices of series 1.2.3"


def test_a_file_that_is_cut_and_rests_is_refused(study: Path) -> None:
    path = next((study / "tp-1" / "spect").iterdir())
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RefusalError, match="DICOM_CORRUPT"):
        _missing(study)


def test_only_what_files_can_heal_waits() -> None:
    def refusal(code: str) -> RefusalError:
        return RefusalError(code, found="a gap", needed="n", do="d", where="1.2.3")

    assert waits_after(refusal("SLICES_MISSING")) == "the missing slices of a series (1.2.3: a gap)"
    assert waits_after(refusal("CT_MISSING")) is not None
    assert waits_after(refusal("SPECT_MISSING")) is not None
    assert [waits_after(refusal(code)) for code in ("PATIENTS_MIXED", "DICOM_CORRUPT", "WRONG_NUCLIDE")] == [None] * 3
