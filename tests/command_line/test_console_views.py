"""What commands print for a reader: whole at 80 columns, no raw documents, what comes next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.console_record import show_record, show_recorded, show_signature
from pipeline.console_studies import show_phantom, show_series
from pipeline.errors import RefusalError
from pipeline.steps.request import require_forms


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("COLUMNS", "80")

    def of(show: Any, *arguments: Any) -> str:
        show(*arguments)
        text = capsys.readouterr().out
        assert "…" not in text, "something is cut off"
        return text

    return of


def width(text: str) -> int:
    return max(len(line.rstrip()) for line in text.splitlines())


def series(kind: str, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "series_uid": "1.2.826.0.1.3680043.8.498.1234567890123456", "kind": kind, "accepted": reason is None,
        "reason": reason, "dialect": "nm-counts" if kind == "spect" else None, "shape": [180, 256, 256],
        "spacing_mm": [2.4, 2.4, 2.4], "unit": "counts", "acquisition_start": "2026-03-03T10:22:00+01:00",
        "radionuclide": "Lu-177" if kind == "spect" else None,
        "injected_activity_bq": 7.5023e9 if kind == "spect" else None,
    } | more  # fmt: skip


def test_series_are_whole_at_80_columns_and_refused_ones_say_why(printed) -> None:
    found = [series("ct"), series("spect", "FRAME_OF_REFERENCE_DIFFERENT", spacing_mm=[4.42, 4.8, 4.8])]
    text = printed(show_series, {"series": found})
    assert width(text) <= 80
    assert "2026-03-03 10:22" in text
    for word in ("180x256x256", "2.4", "4.42", "4.8", "nm-counts", "Lu-177", "7502", "given", "MBq"):
        assert word in text
    assert "2 not used: FRAME_OF_REFERENCE_DIFFERENT series ...1234567890123456" in text


def entry(identity: str, kind: str, date: str, **said: Any) -> dict[str, Any]:
    return {"entry_id": identity * 32, "kind": kind, "date": date, "superseded_by": None} | said


def test_the_record_is_a_page_and_not_a_document(printed) -> None:
    regions = [{"name": "kidney", "mean_dose_gy": dose} for dose in (3.3, 3.39)]
    result = {
        "administration": {"start": "2026-03-02T10:00:00+01:00", "activity_bq": 7.34e9},
        "regions": [*regions, {"name": "marrow", "mean_dose_gy": 0.0886}],
    }
    version = {"result": result, "signatures": [{"signed_by": "A. Physicist"}]}
    given = {"given_cycles": [{"cycle": 3, "activity_gbq": 7.4}], "reason": "[elsewhere]"}
    text = printed(
        show_record,
        {
            "patient_key": "P-1",
            "as_of": None,
            "cycles": [{"cycle": 1, "status": "PHYSICIST_SIGNED", "version": 1, "versions": [version]}],
            "labs": [entry("ab", "labs", "2026-04-15", platelets=218.0, wbc=None)],
            "imaging": [],
            "events": [entry("cd", "event", "2026-03-21", **given) | {"superseded_by": "ef"}],
            "audit": {"intact": False, "entries": 5, "problems": ["entry 3 was changed"]},
        },
    )
    assert width(text) <= 80
    for word in ("7.34", "3.3, 3.39", "0.0886", "signed", "A. Physicist", "NOT INTACT", "entry 3 was changed"):
        assert word in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    # by day, each with as much of its identity as names it
    first, second = (i for i, line in enumerate(lines) if line.startswith(("cdcdcdcd", "abababab")))
    assert lines[first].startswith("cdcdcdcd 2026-03-21 event given_cycles (cycle 3, activity_gbq 7.4)")
    assert "corrected by a later entry" in " ".join(lines[first:second])
    assert lines[second] == "abababab 2026-04-15 lab platelets 218.0 10^9/L"


def test_what_was_recorded_and_signed_is_said_in_words(printed) -> None:
    added = [entry("ab", "event", "2026-04-19", by="Dr B", reduce_30_ordered=True)]
    text = printed(
        show_recorded,
        {"patient_key": "P-1", "patient_created": True, "added": added, "already_there": [{}, {}]},
    )
    assert "P-1, a new patient: 1 added" in text
    assert "abababab 2026-04-19 event    by Dr B, reduce_30_ordered true" in text
    assert "2 were there already" in text
    signature = {
        "patient_key": "P-1", "cycle": 2, "version": 3, "role": "physicist", "signed_by": "A. Physicist",
        "meaning": "I answer.", "reason": "seen", "signed_at_local": "2026-04-20T10:00:00+02:00",
        "already_signed": False,
    }  # fmt: skip
    text = " ".join(printed(show_signature, signature).split())
    assert text == (
        "cycle 2, version 3 of P-1: signed by A. Physicist, physicist, 2026-04-20 10:00 +02:00 I answer. reason: seen"
    )


@pytest.mark.parametrize("calibration", [False, True])
def test_a_phantom_names_the_command_that_comes_next(printed, tmp_path: Path, calibration: bool) -> None:
    if calibration:
        (tmp_path / "calibration.toml").touch()
    cycle = {
        "cycle": 1, "activity_bq": 7.5e9, "administered_at": "2026-03-02T10:49:00+01:00",
        "acquisition_starts": ["", ""], "regions": [{}],
    }  # fmt: skip
    text = printed(show_phantom, {"cycles": [cycle]}, tmp_path)
    assert "cycle 1: 7.50 GBq on 2026-03-02 10:49 +01:00; scans: 2, regions: 1" in text
    (following,) = [line for line in text.splitlines() if line.startswith("next: ")]
    assert following.startswith(f"next: prrt {'calibrate' if calibration else 'process'} {tmp_path}/cycle-1 ")


def test_a_blank_in_a_form_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    runner, blank = CliRunner(), tmp_path / "site.toml"
    assert runner.invoke(app, ["init-site", str(blank)]).exit_code == 0
    with pytest.raises(RefusalError) as refused:
        require_forms({"site": str(blank), "cycle_form": "", "blood": None})
    assert (refused.value.code, refused.value.where) == ("SITE_PROFILE_INVALID", "marrow.limit_method")


def test_every_command_has_an_example_or_writes_a_form() -> None:
    runner = CliRunner(env={"COLUMNS": "200"})
    listed = runner.invoke(app, ["--help"]).output
    commands = [command.name or command.callback.__name__ for command in app.registered_commands]  # type: ignore[union-attr]
    assert len(commands) > 15
    assert [name for name in commands if name not in listed] == []
    without = [name for name in commands if "Example: prrt" not in runner.invoke(app, [name, "--help"]).output]
    assert [name for name in without if not name.startswith("init-")] == []


def test_the_version_is_told() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert told.exit_code == 0
    assert told.output.startswith("prrt-dosimetry 0.")
