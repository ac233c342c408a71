"""What makes another input, and what does not; the output folder is nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RefusalError
from pipeline.steps.outputs import exclusive, require_own_folder
from pipeline.steps.request import request_document, require_unchanged

DICOM = b"\0" * 128 + b"DICM"


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    study = tmp_path / "study"
    (study / "tp-1").mkdir(parents=True)
    (study / "tp-1" / "a").write_bytes(DICOM + b"one")
    (study / "tp-1" / "b").write_bytes(DICOM + b"two")
    (tmp_path / "site.toml").write_text("a = 1\n")
    (tmp_path / "cycle.toml").write_text("cycle = 1\nadministered_at = 2026-03-02T10:00:00+01:00\n")
    return {
        "studies": [study], "site": tmp_path / "site.toml", "cycle_form": tmp_path / "cycle.toml", "blood": None,
        "contours": [], "engine": "convolution", "backend": "cpu",
    }  # fmt: skip


def fingerprint(inputs: dict[str, Any]) -> str:
    return str(request_document(**inputs)["fingerprint"])


def test_notes_names_and_comments_do_not_make_another_input(inputs: dict[str, Any]) -> None:
    before = fingerprint(inputs)
    folder = inputs["studies"][0]
    (folder / ".DS_Store").write_bytes(b"finder")
    (folder / "README.txt").write_text("seen by the physicist")
    (folder / "tp-1" / "a").rename(folder / "tp-1" / "renamed")
    inputs["site"].write_text("# a comment\na   =   1\n")
    assert fingerprint(inputs) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda i: (i["studies"][0] / "tp-1" / "c").write_bytes(DICOM + b"three"),
        lambda i: (i["studies"][0] / "tp-1" / "a").write_bytes(DICOM + b"other"),
        lambda i: i["site"].write_text("a = 2\n"),
        lambda i: i["cycle_form"].write_text("cycle = 2\nadministered_at = 2026-03-02T10:00:00+01:00\n"),
    ],
    ids=["another-file", "another-pixel", "another-setting", "another-cycle"],
)
def test_content_makes_another_input(inputs: dict[str, Any], change: Any) -> None:
    before = fingerprint(inputs)
    change(inputs)
    assert fingerprint(inputs) != before


def test_output_inside_the_study_is_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(RefusalError, match="OUT_INSIDE_STUDY"):
        request_document(**inputs, out=inputs["studies"][0] / "out")


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with exclusive(tmp_path), pytest.raises(RefusalError, match="OUT_IN_USE"), exclusive(tmp_path):
        pass
    with exclusive(tmp_path):
        pass


def test_a_folder_of_another_cycle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"patient_key": "a", "cycle": 1}')
    require_own_folder(tmp_path, "a", 1)
    for key, cycle in (("b", 1), ("a", 2)):
        with pytest.raises(RefusalError, match="OUT_OF_ANOTHER_CYCLE"):
            require_own_folder(tmp_path, key, cycle)


def test_a_run_goes_on_with_the_files_it_began_with(inputs: dict[str, Any]) -> None:
    """Profile, form, blood and contours are read by every step; a comment is no change, another value ends the run."""
    blood = inputs["site"].with_name("blood.csv")
    blood.write_text("time_h,activity_bq_per_ml\n1,5\n")
    request = request_document(**inputs | {"blood": blood})
    inputs["site"].write_text("# a comment\na = 1\n")
    require_unchanged(request)
    blood.write_text("time_h,activity_bq_per_ml\n1,6\n")
    inputs["cycle_form"].write_text("cycle = 2\n")
    with pytest.raises(RefusalError, match="INPUT_CHANGED") as refusal:
        require_unchanged(request)
    assert refusal.value.where == "blood, cycle_form"
