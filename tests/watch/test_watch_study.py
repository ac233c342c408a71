"""The process of one study, called as a function as far as it needs no Prefect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest

from flows.study import CONTENT_CHANGED, run_study
from pipeline.steps.inbox import content_key
from pipeline.steps.inbox_state import InboxState, waiting

Document = dict[str, Any]


@pytest.fixture
def job(study: Path, example: Path, tmp_path: Path) -> Document:
    return {
        "key": content_key(study),
        "root": str(study),
        "site": str(example / "site.toml"),
        "records": f"sqlite:///{tmp_path / 'records.db'}",
        "inbox_out": str(tmp_path / "out"),
        "out": str(tmp_path / "out" / "study"),
        "engine": "convolution",
        "backend": "cpu",
    }


def _state(job: Document) -> InboxState:
    return InboxState(Path(job["inbox_out"]), Path(job["site"]))


def _outcome_after(job: Document) -> Document:
    assert run_study(job | {"key": content_key(Path(job["root"]))}) == 0
    outcome = _state(job).read(content_key(Path(job["root"])))
    assert outcome is not None
    assert not Path(job["out"]).exists(), "a study that is not walked leaves no results"
    return outcome


def test_what_another_process_has_done_is_not_done_again(job: Document) -> None:
    """As after a watch that was killed while its process went on and finished."""
    _state(job).write(job["key"], waiting("known already"))
    before = _state(job).read(job["key"])
    assert run_study(job) == 0
    assert _state(job).read(job["key"]) == before


def test_files_that_changed_since_the_look_are_left_to_the_next_look(job: Document) -> None:
    (Path(job["root"]) / "more").write_text("1")
    assert run_study(job) == CONTENT_CHANGED
    assert _state(job).read(job["key"]) is None


def test_a_gap_in_the_slices_waits(job: Document) -> None:
    """One slice out of the middle of a CT of 2.4 mm slices leaves a gap of twice that."""
    slices = sorted((Path(job["root"]) / "tp-1" / "ct").iterdir(), key=_height_mm)
    slices[len(slices) // 2].unlink()
    outcome = _outcome_after(job)
    assert outcome["state"] == "waiting"
    assert outcome["waiting_for"].startswith("the missing slices of a series (")
    assert "a gap of 4.80 mm among slices 2.40 mm apart" in outcome["waiting_for"]


def _height_mm(path: Path) -> float:
    return float(pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2])


def test_a_study_of_another_camera_is_refused(job: Document, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    text = Path(job["site"]).read_text(encoding="utf-8")
    site.write_text(text.replace("NM-COUNTS", "ANOTHER"), encoding="utf-8")
    outcome = _outcome_after(job | {"site": str(site)})
    assert (outcome["state"], outcome["error"]["code"]) == ("refused", "CAMERA_UNKNOWN")
