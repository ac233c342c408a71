"""Files as GE Xeleris and Siemens xSPECT write them (header facts of a Discovery 670 and an Intevo, section 6.4)."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from dicom_writer import LU, PET, code, counts, ct, form, item, nm, save, site, slices, window

from pipeline.dicom.discover import discover
from pipeline.dicom.read_spect import read_spect
from pipeline.steps.ingest import ingest
from pipeline.steps.inspect_series import inspect_paths

VOLUME = counts((64, 4, 5))


def ge_xeleris(path, **changes):
    """Modality OT, geometry of the detector only, negative spacing from the top slice, private Pixel Scale, dose 0."""
    facts = {
        "spacing": -8.83612, "position": (-272.13778, -283.93778, 278.33778), "Modality": "OT",
        "rotation": {"ActualFrameDuration": 30000, "NumberOfFramesInRotation": 1, "ScanArc": 0},
        "pharmaceutical": {"RadionuclideTotalDose": "0.0", "RadionuclideCodeSequence": [],
                           "Radiopharmaceutical": "ATTENUATION MAPS"},
        "EnergyWindowInformationSequence": [window(327.6, 400.4)], "PixelSpacing": [8.83612, 8.83612],
        "CorrectedImage": ["ATTN"], "PixelRepresentation": 1,
    }  # fmt: skip
    dataset = pydicom.dcmread(nm(path, VOLUME, **(facts | changes)))
    block = dataset.private_block(0x0011, "GEMS_GENIE_1", create=True)
    block.add_new(0x3B, "FD", 4.179501533508301)
    return save(dataset, path)


def test_ge_reconstruction_of_iodine_is_described_and_refused(tmp_path):
    ge_xeleris(tmp_path / "a.dcm")
    (series,) = inspect_paths([tmp_path])["series"]
    assert (series["kind"], series["accepted"], series["reason"]) == ("spect", False, "NUCLIDE_UNKNOWN")
    assert series["reasons"] == ["NUCLIDE_UNKNOWN", "PIXEL_SCALE_UNSETTLED"]
    assert series["injected_activity_bq"] is None
    # The field is symmetric about z = 0: 64 slices of 8.83612 mm from +278.34 down to -278.34 mm.
    assert series["affine_lps_mm"][2][3] == pytest.approx(-278.33778, abs=1e-4)
    assert series["total_counts"] == VOLUME.sum()


def test_ge_reconstruction_of_lutetium_with_the_scale_of_the_site(tmp_path):
    lutetium = {"EnergyWindowInformationSequence": [window(187.56, 229.24)]}
    ge_xeleris(tmp_path / "spect.dcm", **lutetium)
    ct(tmp_path / "ct")
    (point,) = ingest([tmp_path], site(vendor_pixel_scale="apply"), form()).time_points
    assert np.allclose(np.asarray(point.spect.value)[::-1], VOLUME * 4.179501533508301, rtol=1e-6)
    assert {note.split(":")[0] for note in point.spect.notes} == {
        "NUCLIDE_FROM_WINDOW",
        "PIXEL_SCALE_APPLIED",
        "HEADS_ASSUMED",
    }


def xspect(folder):
    """SPECT in the PET object, ADMIN with a factor of 1, rounded positions, one value too long for its VR."""
    from pydicom import config

    information = item(
        RadionuclideTotalDose="7.4e9", RadionuclideHalfLife="574300",
        RadionuclideCodeSequence=[code("99SDM", "C-101ED", "177 Lutetium")],
    )  # fmt: skip
    with config.disable_value_validation():
        slices(
            folder, PET, counts(), series="1.2.3.1.5", z=[1.9531 * k for k in range(6)], Modality="PT",
            RescaleSlope=100, DecayCorrection="ADMIN", DecayFactor=1, ActualFrameDuration=1506277,
            SliceThickness=1.95313, RadiopharmaceuticalInformationSequence=[information],
            EnergyWindowRangeSequence=[item(EnergyWindowLowerLimit=187.56, EnergyWindowUpperLimit=229.24)],
            CorrectedImage=["UNIF", "ATTN", "SCAT", "DECY"], SoftwareVersions=["VB20", "x" * 69],
        )  # fmt: skip
    return folder


def test_xspect_is_a_spect_whose_decay_reference_the_site_must_tell(tmp_path):
    spect = read_spect(discover([xspect(tmp_path)])[0])
    assert (spect.dialect, spect.unit, spect.radionuclide) == ("pet-bqml", "Bq/mL", "Lu-177")
    assert (spect.decay_reference, spect.acquisition_duration_s) == (None, 1506.277)
    assert np.allclose(spect.value, counts() * 100.0)
    assert spect.grid.spacing_mm[0] == pytest.approx(1.9531, abs=1e-9)
    assert LU.CodeValue == "447553000"
