"""A watch that is killed with SIGKILL while it works, and the one after it: nothing lost, nothing repeated."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest

from flows.serve import inbox_flow
from pipeline.records.store import open_store
from sample_dicom.write import write_phantom

Document = dict[str, Any]
PRRT = Path(sys.executable).with_name("prrt")
DEADLINE_S = 300


def _two_points(source: Path, target: Path) -> None:
    """Link a cycle without its third time point: a quarter less to register and draw."""
    shutil.copytree(source, target, copy_function=os.link, ignore=shutil.ignore_patterns("tp-3"))


def _fill(inbox: Path, example: Path, other: Path) -> None:
    """Two good studies (one zipped), one that waits for a CT, one that holds two patients."""
    _two_points(example / "cycle-1", inbox / "one")
    shutil.make_archive(str(inbox / "one-again"), "zip", inbox / "one")
    _two_points(other / "cycle-1", inbox / "two")
    _two_points(example / "cycle-1", inbox / "no-ct")
    shutil.rmtree(inbox / "no-ct" / "tp-2" / "ct")
    _two_points(example / "cycle-1", inbox / "mixed")
    path = next((inbox / "mixed" / "tp-2" / "spect").iterdir())
    dataset = pydicom.dcmread(path)
    dataset.PatientID = "someone-else"
    path.unlink()
    dataset.save_as(path)


@dataclass(frozen=True)
class Scene:
    """One inbox with all that belongs to it."""

    root: Path
    inbox: Path
    arguments: list[str]

    @property
    def out(self) -> Path:
        return self.root / "out"

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as sink:
            return subprocess.Popen(
                [PRRT, *self.arguments, "--json"],
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PREFECT_HOME": str(self.root / "prefect")},
                start_new_session=True,
            )

    def steps(self, study: str) -> list[tuple[str, int | None]]:
        paths = list(self.out.glob(f"{study}-????????/.work/journal.jsonl"))
        lines = paths[0].read_text(encoding="utf-8").splitlines() if paths else []
        return [(entry["step"], entry["index"]) for entry in map(json.loads, lines)]

    def processes(self, study: str) -> set[int]:
        paths = list(self.out.glob(f"{study}-????????/.work/journal.jsonl"))
        lines = paths[0].read_text(encoding="utf-8").splitlines() if paths else []
        return {json.loads(line)["pid"] for line in lines}


@dataclass(frozen=True)
class Outcome:
    """What the killed watch had done, and what the one after it said."""

    scene: Scene
    steps_before: dict[str, list[tuple[str, int | None]]]
    code: int
    document: Document


@pytest.fixture(scope="module")
def outcome(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Run a watch, one study at a time; kill it and its process in the middle of the second; run it again."""
    root = tmp_path_factory.mktemp("watch")
    write_phantom(root / "other", kind="patient", seed=2, perfect=True, cycles=1)
    (root / "inbox").mkdir()
    _fill(root / "inbox", example, root / "other")
    arguments = [
        "watch", str(root / "inbox"), "--site", str(example / "site.toml"), "--out", str(root / "out"),
        "--records", f"sqlite:///{root / 'records.db'}", "--once", "--parallel", "1", "--stable-s", "0.5",
    ]  # fmt: skip
    scene = Scene(root, root / "inbox", arguments)
    running, deadline = scene.start(root / "first.txt"), time.monotonic() + DEADLINE_S
    while ("register", 1) not in scene.steps("two"):
        assert running.poll() is None, (root / "first.txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.kill()
    for process in scene.processes("two"):
        os.kill(process, signal.SIGKILL)
    running.wait()
    before = {study: scene.steps(study) for study in ("one*", "two")}
    again = scene.start(root / "second.txt")
    code = again.wait(DEADLINE_S)
    return Outcome(scene, before, code, json.loads((root / "second.txt").read_text(encoding="utf-8")))


@pytest.mark.slow
@pytest.mark.prefect
def test_every_study_is_told_and_none_stops_another(outcome: Outcome) -> None:
    studies = {study["name"]: study for study in outcome.document["studies"]}
    assert {name: study["state"] for name, study in studies.items()} == {
        "mixed": "refused",
        "no-ct": "waiting",
        "one": "processed",
        "one-again.zip": "processed",
        "two": "processed",
    }
    assert studies["mixed"]["error"]["code"] == "PATIENTS_MIXED"
    assert studies["no-ct"]["waiting_for"] == "the CT of each time point (1 of 2)"
    assert studies["one"]["out"] == studies["one-again.zip"]["out"]
    assert (studies["two"]["patient_key"], studies["two"]["cycle"], studies["two"]["version"]) == ("phantom-2", 1, 1)
    assert (Path(studies["two"]["out"]) / "report.pdf").exists()
    # A refused study and freshly filed, unsigned doses: a person must look.
    assert outcome.code == 3
    needed = {name for name, study in studies.items() if study["needs_a_person"]}
    assert needed == {"mixed", "one", "one-again.zip", "two"}


@pytest.mark.slow
@pytest.mark.prefect
def test_a_killed_watch_loses_nothing_and_repeats_nothing(outcome: Outcome) -> None:
    scene, before = outcome.scene, outcome.steps_before
    assert before["one*"][-1] == ("report", None), "the first study was done when the watch was killed"
    assert ("file", None) not in before["two"]
    assert scene.steps("one*") == before["one*"], "a finished study was touched again"
    steps = scene.steps("two")
    assert steps[: len(before["two"])] == before["two"]
    # A step is noted before its result is kept: the one that the kill fell into may run again, no other.
    assert {step for step in steps if steps.count(step) > 1} <= {before["two"][-1]}, "a finished step was run again"
    assert len(steps) <= len(set(steps)) + 1
    assert steps[-1] == ("report", None)
    with open_store(f"sqlite:///{scene.root / 'records.db'}") as records:
        versions = [len(records.record(patient).versions) for patient in ("phantom-1", "phantom-2")]
    assert versions == [1, 1]


def test_the_deployment_handles_one_study_by_its_event(example: Path, inbox: Path, tmp_path: Path) -> None:
    """The flow that is served, called as a function: the event's resource id names the study."""
    for name in ("a", "b"):
        (inbox / name).mkdir()
        (inbox / name / "1.dcm").write_text(name)
    done = inbox_flow.fn(
        str(inbox),
        str(example / "site.toml"),
        f"sqlite:///{tmp_path / 'records.db'}",
        str(tmp_path / "out"),
        folder="prrt.study.b",
    )
    assert [(study["name"], study["waiting_for"]) for study in done["studies"]] == [("b", "cycle.toml")]
