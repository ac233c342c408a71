"""Filing and recording: the same twice changes nothing, refused input changes nothing, as-of sees the past."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from record_examples import AT, IMAGING, LABS, SETTINGS, file_cycle, result
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import RefusalError
from pipeline.records import RecordStore, open_store
from pipeline.steps.file_result import file_result
from pipeline.steps.record_events import record, record_files
from pipeline.steps.show import show_patient
from pipeline.steps.sign import sign_cycle

# One more than the highest points of section 7.4.
ABOVE_POINTS = {"liver": 5, "bone": 4, "lymph_nodes": 4, "peritoneal_pleural": 3}
EVENT = {"date": "2026-04-16", "by": "A. Physician", "reason": "thrombocytopenia", "reduce_30_ordered": True}


def sign(store: RecordStore, role: str = "physicist", cycle: int = 1, by: str = "A. Physicist", **other: Any) -> Any:
    return sign_cycle(store, "phantom-1", cycle=cycle, role=role, by=by, at=other.pop("at", AT), **other)


def refused(code: str, store: RecordStore, call: Any) -> RefusalError:
    """Run ``call``; it must be refused with ``code`` and leave the database as it was."""
    before = store.verify()
    with pytest.raises(RefusalError) as caught:
        call()
    assert caught.value.code == code
    assert store.verify() == before
    return caught.value


def test_the_same_key_files_once(store: RecordStore) -> None:
    first = file_cycle(store)
    shown = store.show("phantom-1")
    again = file_cycle(store, result(flags=[{"code": "LATER"}]), at=AT + timedelta(days=1))
    assert (first.version, first.created, again.version, again.created) == (1, True, 1, False)
    assert again.result_hash == first.result_hash
    assert store.show("phantom-1") == shown


def test_a_new_key_is_a_new_version_and_the_signed_one_stays(store: RecordStore) -> None:
    file_cycle(store)
    sign(store)
    before = store.show("phantom-1")["cycles"][0]["versions"][0]
    second = file_cycle(store, result(flags=[{"code": "LATER"}]), key="key-2")
    cycle = store.show("phantom-1")["cycles"][0]
    assert (second.version, cycle["status"], cycle["version"]) == (2, "DRAFT", 2)
    assert cycle["versions"][0] == before | {"superseded_by": 2}
    assert cycle["versions"][0]["signatures"][0]["signed_by"] == "A. Physicist"


def test_an_older_input_processed_again_is_in_force_again_and_then_files_once(store: RecordStore) -> None:
    file_cycle(store)
    sign(store)
    file_cycle(store, result(flags=[{"code": "LATER"}]), key="key-2", at=AT + timedelta(hours=1))
    third = file_cycle(store, at=AT + timedelta(hours=2))
    assert (third.version, third.created) == (3, True)
    cycle = store.show("phantom-1")["cycles"][0]
    assert (cycle["version"], cycle["status"], cycle["versions"][2]["result"]) == (3, "DRAFT", result())
    assert [version["superseded_by"] for version in cycle["versions"]] == [2, 3, None]
    shown = store.show("phantom-1")
    assert file_cycle(store, at=AT + timedelta(hours=3)).created is False
    assert store.show("phantom-1") == shown
    assert file_cycle(store, key="key-2", at=AT + timedelta(hours=4)).version == 4
    assert store.verify().problems == ()


def test_filing_returns_the_document_in_force_under_a_key_that_is_older(store: RecordStore) -> None:
    first = file_result(store, result(), "key-1", SETTINGS, AT)
    other = file_result(store, result(flags=[{"code": "LATER"}]), "key-2", SETTINGS, AT + timedelta(hours=1))
    again = file_result(store, result(), "key-1", SETTINGS, AT + timedelta(hours=2))
    assert [f["version"] for f in (first, other, again)] == [1, 2, 3]
    assert (again["created"], again["result"]["flags"]) == (True, [])
    unchanged = file_result(store, result(), "key-1", SETTINGS, AT + timedelta(hours=3))
    assert (unchanged["created"], unchanged["version"], unchanged["result"]) == (False, 3, again["result"])


CONCURRENT = """
import json, sys
from alembic import command  # what a first opening imports, so that the processes meet in the database
from pipeline.records import open_store
print("ready", flush=True)
url, key, go = sys.argv[1], sys.argv[2], json.loads(sys.stdin.readline())
with open_store(url) as store:
    filed = store.file_cycle(document=go["document"], idempotency_key=key, settings=go["settings"], created_at=go["at"])
print(json.dumps([filed.version, filed.created]))
"""


def run_together(url: str, keys: list[str]) -> list[list[Any]]:
    """File with each key in a process of its own; all are told what to file once the last one is ready."""
    command = [sys.executable, "-W", "error", "-c", CONCURRENT, url]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen([*command, key], text=True, stdin=pipe, stdout=pipe, stderr=pipe) for key in keys]
    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * len(keys)
    order = json.dumps({"document": result(), "settings": SETTINGS, "at": AT.isoformat()}) + "\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(order)
        process.stdin.flush()
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(keys), [error for _, error in outputs]
    return sorted(json.loads(output) for output, _ in outputs)


def test_processes_that_file_the_same_into_a_new_database_file_once(url: str) -> None:
    assert run_together(url, ["same", "same", "same"]) == [[1, False], [1, False], [1, True]]
    with open_store(url) as store:
        assert store.verify().problems == ()
        assert store.verify().entries == 3  # patient, settings, cycle


def test_processes_that_file_different_versions_both_file(url: str) -> None:
    assert run_together(url, ["one", "two"]) == [[1, True], [2, True]]


def test_entries_are_added_once(store: RecordStore) -> None:
    first = record(store, "phantom-1", labs=[LABS, LABS], imaging=[IMAGING], event=EVENT, at=AT)
    assert first["patient_created"] is True
    assert [len(first["added"]), len(first["already_there"])] == [3, 1]
    shown = store.show("phantom-1")
    again = record(store, "phantom-1", labs=[LABS], imaging=[IMAGING], event=EVENT, at=AT + timedelta(days=1))
    assert (again["patient_created"], again["added"], len(again["already_there"])) == (False, [], 3)
    assert store.show("phantom-1") == shown
    assert shown["events"][0]["recorded_by"] == "A. Physician"


def test_files_are_read_and_recorded(store: RecordStore, tmp_path: Path) -> None:
    labs, imaging, event = tmp_path / "labs.csv", tmp_path / "imaging.csv", tmp_path / "event.toml"
    labs.write_text("date,wbc,granulocytes,platelets,haemoglobin [g/dL]\n2026-04-15,4.2,2.4,160,12.1\n")
    imaging.write_text("date,modality,recist\n2026-04-10,CT,SD\n")
    event.write_text('date = 2026-04-16\nby = "A. Physician"\nreason = "as discussed"\n[flags]\nwithdrawn = true\n')
    added = record_files(store, "phantom-1", labs=labs, imaging=imaging, event=event, at=AT)["added"]
    assert [entry["kind"] for entry in added] == ["labs", "imaging", "event"]
    assert added[0]["haemoglobin"] == pytest.approx(121.0)
    assert added[2]["withdrawn"] is True


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("ENTRY_INVALID", {"labs": [LABS, LABS | {"date": "2026-04-16", "wbc": -1.0}]}),
        ("ENTRY_INVALID", {"labs": [LABS, {"date": "2026-04-16", "wbc": float("nan")}]}),
        ("ENTRY_INVALID", {"labs": [LABS, {"date": "2026-04-16", "wbc": None}]}),
        ("ENTRY_INVALID", {"labs": [LABS, LABS | {"date": "2026-04-16", "granulocytes": 57.0}]}),
        ("ENTRY_INVALID", {"labs": [{"date": "2026-04-16", "wbc": 4.2, "neutrophils": 57.0}]}),
        ("ENTRY_INVALID", {"labs": [LABS], "imaging": [IMAGING | {"recist": "worse"}]}),
        ("DATE_INVALID", {"labs": [LABS, LABS | {"date": "16.4.2026"}]}),
        ("EVENT_INVALID", {"labs": [LABS], "event": EVENT | {"withdrawnn": True}}),
        ("EVENT_INVALID", {"labs": [LABS], "event": EVENT | {"withdrawn": "yes"}}),
        *[("EVENT_INVALID", {"event": {**EVENT, site: above}}) for site, above in ABOVE_POINTS.items()],
        ("EVENT_INVALID", {"event": {**EVENT, "imputed": [{"cycle": 1, "kidney_gy": 0.0}]}}),
        ("EVENT_INVALID", {"event": {**EVENT, "by": "", "imputed": [{"cycle": 1, "kidney_gy": 3.0}]}}),
        ("SUPERSEDED_UNKNOWN", {"labs": [LABS, LABS | {"supersedes": "0123456789"}]}),
        ("NOTHING_TO_RECORD", {"labs": []}),
    ],
)
def test_a_refused_entry_leaves_the_whole_call_unrecorded(
    store: RecordStore, code: str, arguments: dict[str, Any]
) -> None:
    refused(code, store, lambda: record(store, "phantom-1", **arguments, at=AT))
    assert store.find("phantom-1") is None


def test_a_correction_names_the_entry_it_corrects(store: RecordStore) -> None:
    wrong = record(store, "phantom-1", labs=[LABS], at=AT)["added"][0]["entry_id"]
    corrected = LABS | {"platelets": 165.0, "supersedes": wrong[:8]}
    right = record(store, "phantom-1", labs=[corrected], at=AT + timedelta(hours=1))["added"][0]
    assert right["supersedes"] == wrong
    shown = {entry["entry_id"]: entry for entry in store.show("phantom-1")["labs"]}
    assert shown[wrong]["superseded_by"] == right["entry_id"]
    assert shown[right["entry_id"]]["superseded_by"] is None


def run(*command: object) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*map(str, command), "--json"])
    assert done.exit_code == 0, done.exception
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_command_records_corrections_cycles_given_elsewhere_and_imputed_doses(url: str, tmp_path: Path) -> None:
    labs, imaging, event = tmp_path / "labs.csv", tmp_path / "imaging.csv", tmp_path / "event.toml"
    files = ["--labs", labs, "--imaging", imaging, "--event", event]
    labs.write_text("date,wbc,granulocytes,platelets\n2026-04-15,4.2,2.4,16\n")
    imaging.write_text("date,modality,recist\n2026-04-10,CT,PD\n")
    head = 'date = 2026-04-16\nby = "A. Physicist"\nreason = "report of the other hospital"\n'
    cycle = "[[given_cycles]]\ncycle = 1\ngiven_on = 2026-03-02\nactivity_gbq = 7.4\n"
    dose = '[[imputed]]\ncycle = 1\nkidney_gy = {}\nmarrow_gy = 0.1\nmarrow_method = "blood_planar"\n'
    event.write_text(head + cycle + dose.format(36.0))
    wrong = {
        entry["kind"]: entry["entry_id"] for entry in run("record", "phantom-1", "--records", url, *files)["added"]
    }
    labs.write_text(f"date,wbc,granulocytes,platelets,supersedes\n2026-04-15,4.2,2.4,160,{wrong['labs'][:8]}\n")
    imaging.write_text(f"date,modality,recist,supersedes\n2026-04-10,CT,SD,{wrong['imaging']}\n")
    event.write_text(head + f'supersedes = "{wrong["event"]}"\n' + cycle + dose.format(3.6))
    assert len(run("record", "phantom-1", "--records", url, *files)["added"]) == 3
    decision = run("decide", "phantom-1", "--on", "2026-04-20", "--records", url)
    assert (decision["outcome"], decision["cumulative"]["kidney_gy"]) == ("GIVE", pytest.approx(3.6))


def test_unusable_results_are_refused(store: RecordStore) -> None:
    no_cycle = result() | {"cycle": None}
    refused("RESULT_INVALID", store, lambda: file_cycle(store, no_cycle))
    refused("RESULT_INVALID", store, lambda: file_cycle(store, key=" "))
    refused("PATIENT_KEY_INVALID", store, lambda: file_cycle(store, result() | {"patient_key": " x"}))
    naive = AT.replace(tzinfo=None)
    refused("TIME_ZONE_MISSING", store, lambda: file_cycle(store, at=naive))


def test_signing_goes_from_physicist_to_physician_and_is_idempotent(store: RecordStore) -> None:
    file_cycle(store)
    refused("DOSE_NOT_SIGNED", store, lambda: sign(store, "physician", by="A. Physician"))
    first = sign(store, at=datetime.fromisoformat("2026-03-20T10:30:00+01:00"))
    assert (first["version"], first["already_signed"], first["signed_at"]) == (
        1, False, "2026-03-20T09:30:00.000000+00:00",
    )  # fmt: skip
    assert first["signed_at_local"] == "2026-03-20T10:30:00+01:00"
    assert store.show("phantom-1")["cycles"][0]["status"] == "PHYSICIST_SIGNED"
    shown = store.show("phantom-1")
    again = sign(store, by="B. Physicist", at=AT + timedelta(days=3))
    assert again == first | {"already_signed": True}
    assert store.show("phantom-1") == shown
    sign(store, "physician", by="A. Physician")
    assert store.show("phantom-1")["cycles"][0]["status"] == "PHYSICIAN_DECIDED"


def test_refused_signatures_leave_nothing(store: RecordStore) -> None:
    refused("PATIENT_UNKNOWN", store, lambda: sign(store))
    file_cycle(store)
    refused("CYCLE_UNKNOWN", store, lambda: sign(store, cycle=2))
    refused("ROLE_UNKNOWN", store, lambda: sign(store, "nurse"))
    refused("SIGNER_MISSING", store, lambda: sign(store, by="  "))


def test_a_version_that_was_superseded_meanwhile_is_not_signed(store: RecordStore) -> None:
    file_cycle(store)
    file_cycle(store, result(flags=[{"code": "LATER"}]), key="key-2")
    refused("VERSION_SUPERSEDED", store, lambda: sign(store, version=1))
    assert sign(store, version=2)["version"] == 2


def test_of_several_versions_the_signer_must_name_the_one_that_was_reviewed(store: RecordStore) -> None:
    file_cycle(store)
    left, *others = result()["regions"]
    file_cycle(store, result(regions=[left | {"mean_dose_gy": 9.25}, *others]), key="key-2")
    for role in ("physicist", "physician"):
        error = refused("VERSION_AMBIGUOUS", store, lambda role=role: sign(store, role))
        for said in ("version 1 created 2026-03-20T09:00:00+00:00, left kidney 4.000 Gy", "left kidney 9.250 Gy"):
            assert said in error.found
    assert "--version 2" in error.do
    assert sign(store, version=2)["version"] == 2


def test_the_command_signs_the_version_it_is_told(store: RecordStore, url: str) -> None:
    file_cycle(store)
    file_cycle(store, result(flags=[{"code": "LATER"}]), key="key-2")
    command = ["sign", "phantom-1", "--cycle", "1", "--role", "physicist", "--by", "A. Physicist", "--records", url]
    assert CliRunner().invoke(app, command).exception.code == "VERSION_AMBIGUOUS"
    assert CliRunner().invoke(app, [*command, "--version", "1"]).exception.code == "VERSION_SUPERSEDED"
    signed = CliRunner().invoke(app, [*command, "--version", "2", "--json"])
    assert (signed.exit_code, json.loads(signed.stdout)["version"]) == (0, 2)


@pytest.mark.parametrize(
    "doubt",
    [
        {"flags": [{"code": "DECAY_STATE", "level": "BLOCK", "text": "", "region": None}]},
        {"second_check": [{"region": "kidney_left", "method": "sphere", "mean_dose_gy": 9.0, "difference": 1.25,
                           "tolerance": 0.04, "passed": False}]},
    ],
    ids=["block-flag", "second-check"],
)  # fmt: skip
def test_a_block_flag_or_failed_second_check_needs_a_reason(store: RecordStore, doubt: dict[str, Any]) -> None:
    file_cycle(store, result(**doubt))
    error = refused("REASON_REQUIRED", store, lambda: sign(store, reason=" "))
    assert "DECAY_STATE" in error.found or "second check of kidney_left" in error.found
    assert sign(store, reason="clock of the camera confirmed")["reason"] == "clock of the camera confirmed"


def test_as_of_shows_what_was_known_on_a_day(store: RecordStore) -> None:
    file_cycle(store)
    known = show_patient(store, "phantom-1", as_of=date(2026, 3, 20))
    record(store, "phantom-1", labs=[LABS], at=AT + timedelta(days=1))
    sign(store, at=AT + timedelta(days=2))
    file_cycle(store, result(flags=[{"code": "LATER"}]), key="key-2", at=AT + timedelta(days=3))
    assert show_patient(store, "phantom-1", as_of=date(2026, 3, 20)) == known
    assert known["labs"] == []
    third_day = show_patient(store, "phantom-1", as_of=date(2026, 3, 22))
    assert [third_day["cycles"][0]["status"], third_day["cycles"][0]["version"]] == ["PHYSICIST_SIGNED", 1]
    assert show_patient(store, "phantom-1")["cycles"][0]["version"] == 2
    refused("PATIENT_UNKNOWN", store, lambda: show_patient(store, "phantom-1", as_of=date(2026, 3, 19)))


def test_the_shown_record_is_json_and_the_same_from_another_connection(store: RecordStore, url: str) -> None:
    file_cycle(store)
    record(store, "phantom-1", labs=[LABS], imaging=[IMAGING], event=EVENT, at=AT)
    shown = store.show("phantom-1")
    with open_store(url) as other:
        assert json.dumps(other.show("phantom-1")) == json.dumps(shown)
    assert shown["cycles"][0]["versions"][0]["result"] == result()


def test_a_refusal_never_names_the_patient(store: RecordStore) -> None:
    error = refused("PATIENT_UNKNOWN", store, lambda: store.show("phantom-1"))
    assert "phantom-1" not in str(error)
