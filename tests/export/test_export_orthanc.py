"""A real Orthanc takes the objects, files them under the CT's study and gives them back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from orthanc_server import Orthanc, namespaces_work, running
from pydicom.filebase import DicomBytesIO
from small_study import CT_SHAPE, CT_STUDY, dose_map, export, turned_grid

pytestmark = pytest.mark.needs("Orthanc", "storescu", "unshare", "ip")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ct_folder: Path, exported: list[Path]) -> Iterator[Orthanc]:
    """An Orthanc that was sent the CT and the three objects by C-STORE."""
    if not namespaces_work():
        pytest.skip("NEEDS a kernel that allows network namespaces: Orthanc was not tried")
    with running(tmp_path_factory.mktemp("orthanc")) as orthanc:
        assert orthanc.store([*sorted(ct_folder.iterdir()), *exported]) == ""
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


def test_objects_come_back_unchanged(server: Orthanc, exported: list[Path]):
    """Every element of every object; only the file header is the sender's own."""
    for path in exported:
        sent = pydicom.dcmread(path)
        (key,) = server.json("/tools/lookup", str(sent.SOPInstanceUID).encode())
        kept = pydicom.dcmread(DicomBytesIO(server.call(f"/instances/{key['ID']}/file")))
        assert kept == sent
        assert len(kept) > 40


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


def test_a_refused_object_would_be_noticed(server: Orthanc, tmp_path: Path):
    """A file that is no DICOM is not stored, and the sender says so."""
    path = tmp_path / "no.dcm"
    path.write_bytes(b"no DICOM" * 40)
    assert server.store([path]) != ""
