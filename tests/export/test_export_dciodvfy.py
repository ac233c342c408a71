"""dciodvfy (dicom3tools) finds nothing wrong with the objects."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from small_study import CT_SERIES, FACTS, ct_grid, dose_map, export, segmentation, turned_grid, write_ct

from pipeline.dicom.export_header import ReferenceSeries, encoded, read_reference
from pipeline.dicom.write_encapsulated_pdf import encapsulated_pdf_object
from pipeline.dicom.write_rtdose import rtdose_object
from pipeline.dicom.write_seg import seg_object

pytestmark = pytest.mark.needs("dciodvfy")

# Exact texts that say nothing against an object, each with its reason.
ALLOWED = {
    "Warning - Value dubious for this VR - (0x0010,0x0010) PN Patient's Name  PN [1] = <PHANTOM> - Retired Person Name "
    "form": "the name is copied from the CT as it is, lest one patient become two; a pseudonym often has one part",
    "Warning - Missing attribute or value that would be needed to build DICOMDIR - Study ID": "Study ID is type 2 and "
    "copied from the CT, which has none; an invented one would contradict the study",
}
# The checker aborts on any 32-bit RT Dose (an assertion in attrothr.cc of dicom3tools 1.00~20220618), so it is given
# a 16-bit twin made by the same code. What differs between the twins:
TWIN_DIFFERS = {
    "SOPInstanceUID", "SeriesInstanceUID", "BitsAllocated", "BitsStored", "HighBit", "DoseGridScaling", "PixelData",
}  # fmt: skip


def complaints(path: Path) -> set[str]:
    """Return the lines of the checker that begin with Error, Warning or Abort, and any abort by a signal."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60, check=False)
    lines = {line.strip() for line in (done.stderr + done.stdout).splitlines()}
    found = {line for line in lines if line.startswith(("Error", "Warning", "Abort"))}
    return found | ({f"ended with {done.returncode}"} if done.returncode not in {0, 1} else set())


@pytest.fixture
def phantom_like(tmp_path: Path) -> ReferenceSeries:
    """A CT with a name of one part and without a study id, as phantoms and pseudonymised studies have them."""
    folder = write_ct(tmp_path / "ct", PatientName="PHANTOM", StudyID="")
    return read_reference([folder], CT_SERIES)


MAKERS: dict[str, Callable[[ReferenceSeries], Dataset | None]] = {
    "dose, 16-bit twin": lambda reference: rtdose_object(dose_map(turned_grid()), reference, FACTS, bits=16),
    "regions on the CT grid": lambda reference: seg_object(segmentation(ct_grid()), reference, FACTS),
    "regions on their own grid": lambda reference: seg_object(
        segmentation(turned_grid((10, 12, 13))), reference, FACTS
    ),
    "report": lambda reference: encapsulated_pdf_object(
        b"%PDF-1.4", reference, FACTS, (rtdose_object(dose_map(turned_grid()), reference, FACTS),)
    ),
}


def checked(dataset: Dataset | None, folder: Path) -> set[str]:
    assert dataset is not None
    path = folder / "object.dcm"
    path.write_bytes(encoded(dataset))
    return complaints(path)


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_is_wrong(tmp_path: Path, reference: ReferenceSeries, name: str):
    assert checked(MAKERS[name](reference), tmp_path) == set()


@pytest.mark.parametrize("name", MAKERS)
def test_what_a_bare_ct_header_causes_is_allowed_by_its_exact_text(
    tmp_path: Path, phantom_like: ReferenceSeries, name: str
):
    assert checked(MAKERS[name](phantom_like), tmp_path) == set(ALLOWED)


def test_the_checker_would_have_said_something(tmp_path: Path, reference: ReferenceSeries):
    """The rule that decides about Dose Summation Type: PLAN without a plan is an error."""
    dataset = MAKERS["dose, 16-bit twin"](reference)
    assert dataset is not None
    del dataset.ReferencedRTPlanSequence
    assert any("ReferencedRTPlanSequence" in line.replace(" ", "") for line in checked(dataset, tmp_path))


def test_the_twin_stands_for_the_32_bit_object(reference: ReferenceSeries):
    small = rtdose_object(dose_map(turned_grid()), reference, FACTS, bits=16)
    large = rtdose_object(dose_map(turned_grid()), reference, FACTS)
    assert {element.keyword for element in large} == {element.keyword for element in small}
    different = {element.keyword for element in large if small[element.tag] != element}
    assert different == TWIN_DIFFERS


@pytest.mark.needs("dcmdump")
def test_dcmtk_reads_the_32_bit_object_without_a_word(tmp_path: Path, reference: ReferenceSeries):
    path = export(tmp_path, write_ct(tmp_path / "ct"))[0]
    done = subprocess.run(["dcmdump", "-q", str(path)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert "(0028,0100) US 32" in done.stdout
