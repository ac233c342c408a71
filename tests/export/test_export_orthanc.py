"""A real Orthanc takes the objects, files them under the CT's study and gives them back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from orthanc_server import Orthanc, running
from small_study import CT_SHAPE, CT_STUDY, dose_map, export, turned_grid

pytestmark = pytest.mark.needs("Orthanc")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ct_folder: Path, exported: list[Path]) -> Iterator[Orthanc]:
    """An Orthanc that holds the CT and the three objects."""
    with running(tmp_path_factory.mktemp("orthanc")) as orthanc:
        for path in [*sorted(ct_folder.iterdir()), *exported]:
            assert orthanc.json("/instances", path.read_bytes())["Status"] == "Success"
        yield orthanc


def test_results_stand_in_the_study_of_the_ct(server: Orthanc):
    """One patient, one study, four series: the CT's and three of ours."""
    assert len(server.json("/patients")) == 1
    (study,) = server.json("/studies?expand")
    assert study["MainDicomTags"]["StudyInstanceUID"] == CT_STUDY
    assert study["PatientMainDicomTags"]["PatientID"] == "pseudonym-7"
    series = [server.json(f"/series/{key}") for key in study["Series"]]
    counted = {one["MainDicomTags"]["Modality"]: len(one["Instances"]) for one in series}
    assert counted == {"CT": CT_SHAPE[0], "RTDOSE": 1, "SEG": 1, "DOC": 1}


def test_objects_come_back_byte_for_byte(server: Orthanc, exported: list[Path]):
    for path in exported:
        uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        (key,) = server.json("/tools/lookup", uid.encode())
        assert server.call(f"/instances/{key['ID']}/file") == path.read_bytes()


def test_a_rerun_stores_nothing_new(server: Orthanc, tmp_path: Path, ct_folder: Path):
    for path in export(tmp_path, ct_folder):
        assert server.json("/instances", path.read_bytes())["Status"] == "AlreadyStored"


def test_orthanc_decodes_dose_and_report(server: Orthanc, exported: list[Path]):
    """Orthanc's own decoder gives the frames' 32-bit values; its PDF service gives the report."""
    keys = [
        server.json("/tools/lookup", str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID).encode())
        for path in exported
    ]
    dose, _, report = (found[0]["ID"] for found in keys)
    scaling = float(server.json(f"/instances/{dose}/simplified-tags")["DoseGridScaling"])
    frame = np.frombuffer(server.call(f"/instances/{dose}/frames/4/raw"), dtype="<u4").reshape(turned_grid().shape[1:])
    assert frame * scaling == pytest.approx(np.asarray(dose_map(turned_grid()).dose_gy)[4], rel=1e-3)
    assert server.call(f"/instances/{report}/pdf").startswith(b"%PDF-1.4 odd length")


@pytest.mark.needs("unshare", "ip", "storescu")
def test_orthanc_accepts_the_objects_by_c_store(tmp_path: Path, exported: list[Path]):
    """In a network namespace of its own, because Orthanc opens its DICOM port on every address it sees."""
    allowed = subprocess.run(["unshare", "--map-root-user", "--net", "true"], capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip("NEEDS a kernel that allows network namespaces: C-STORE not tried")
    script = Path(__file__).with_name("orthanc_in_namespace.py")
    command = ["unshare", "--map-root-user", "--net", sys.executable, str(script), str(tmp_path), *map(str, exported)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    written = [pydicom.dcmread(path, stop_before_pixels=True) for path in exported]
    assert json.loads(done.stdout) == {str(one.SOPInstanceUID): one.Modality for one in written}
