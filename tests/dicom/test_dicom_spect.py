"""Values, units, nuclide, activity, time and decay reference of SPECT series."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from dicom_writer import DAY_1, LU, NM, PET, code, counts, item, nm, save, slices, window
from refusals import refusal_of

from pipeline.dicom.discover import discover
from pipeline.dicom.radionuclide import nuclide_from_text
from pipeline.dicom.read_spect import decode_spect, read_spect

TC = code("SNM3", "C-163A8", "^99m^Technetium")
FDG = code("99SDM", "C-111A1", "18F")


def read_one(path, **options):
    return read_spect(discover([path])[0], **options)


def mapping(slope: float, unit: str, *, intercept: float = 0.0, first: int = 0, last: int = 65535):
    return item(
        RealWorldValueFirstValueMapped=first,
        RealWorldValueLastValueMapped=last,
        RealWorldValueSlope=slope,
        RealWorldValueIntercept=intercept,
        MeasurementUnitsCodeSequence=[code("UCUM", unit, unit)],
    )


# ------------------------------------------------------------------ values and units


def test_counts_without_any_scale(tmp_path):
    spect = read_one(nm(tmp_path / "a.dcm", spacing=4.0))
    assert (spect.dialect, spect.unit) == ("nm-counts", "counts")
    assert np.array_equal(spect.value, counts())


def test_mapping_is_applied_to_stored_values_not_on_top_of_the_slope(tmp_path):
    """2.5 x stored + 1, though a Rescale Slope of 7 stands beside it (section 6.4: RWVM first)."""
    changes = {"RealWorldValueMappingSequence": [mapping(2.5, "Bq/ml", intercept=1.0)], "RescaleSlope": 7}
    spect = read_one(nm(tmp_path / "a.dcm", spacing=4.0, RescaleIntercept=3, **changes))
    assert (spect.dialect, spect.unit) == ("nm-rwv", "Bq/mL")
    assert np.allclose(spect.value, counts() * 2.5 + 1.0, rtol=1e-6)


def test_mapping_to_activity_is_chosen_among_several(tmp_path):
    both = [mapping(0.1, "g/ml{SUVbw}"), mapping(2.5, "Bq/ml")]
    spect = read_one(nm(tmp_path / "a.dcm", spacing=4.0, RealWorldValueMappingSequence=both))
    assert np.allclose(spect.value, counts() * 2.5, rtol=1e-6)


def test_nm_slope_without_mapping_scales_counts(tmp_path):
    spect = read_one(nm(tmp_path / "a.dcm", spacing=4.0, RescaleSlope=0.5, RescaleIntercept=0))
    assert (spect.dialect, spect.unit) == ("nm-rescale", "counts")
    assert np.allclose(spect.value, counts() * 0.5, rtol=1e-6)


def test_pet_mapping_stands_above_each_slope(tmp_path):
    each = [{"RealWorldValueMappingSequence": [mapping(2.0 + k, "Bq/ml")], "RescaleSlope": 9} for k in range(6)]
    slices(tmp_path, PET, counts(), each=each)
    assert np.allclose(read_one(tmp_path).value, counts() * (2.0 + np.arange(6))[:, None, None], rtol=1e-6)


@pytest.mark.parametrize(
    ("refused", "changes"),
    [
        ("UNIT_UNKNOWN", {"RealWorldValueMappingSequence": [mapping(2.5, "1")]}),
        ("UNIT_UNKNOWN", {"RealWorldValueMappingSequence": [mapping(2.5, "Gy")]}),
        ("UNIT_UNKNOWN", {"Units": "MGY_MBQS"}),
        ("SCALE_INVALID", {"RealWorldValueMappingSequence": [mapping(0.0, "Bq/ml")]}),
        ("SCALE_INVALID", {"RealWorldValueMappingSequence": [mapping(1.0, "Bq/ml"), mapping(2.0, "Bq/ml")]}),
        ("SCALE_INVALID", {"RescaleSlope": 0}),
        ("PIXELS_OUTSIDE_MAPPING", {"RealWorldValueMappingSequence": [mapping(1.0, "Bq/ml", last=100)]}),
        ("PIXELS_UNSUPPORTED", {"volume": counts((6, 4, 15)), "Columns": 5, "SamplesPerPixel": 3}),
        ("NOT_AN_EMISSION_VOLUME", {"ImageType": ["DERIVED", "PRIMARY", "RECON TOMO", "TRANSMISSION"]}),
        ("NOT_AN_EMISSION_VOLUME", {"ImageType": ["DERIVED", "PRIMARY", "RECON GATED TOMO", "EMISSION"]}),
        ("PLANAR_NOT_SPECT", {"ImageType": ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]}),
        ("PLANAR_NOT_SPECT", {"ImageType": ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"]}),
        ("PROJECTIONS_NOT_RECONSTRUCTED", {"ImageType": ["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"]}),
        ("WRONG_NUCLIDE", {"pharmaceutical": {"RadionuclideCodeSequence": [TC]}}),
        ("NUCLIDE_UNKNOWN", {"pharmaceutical": {"RadionuclideCodeSequence": None},
                             "EnergyWindowInformationSequence": None}),
        ("NUCLIDE_UNKNOWN", {"pharmaceutical": {"RadionuclideCodeSequence": None},
                             "EnergyWindowInformationSequence": [window(126, 154)]}),
        ("NUCLIDE_CONTRADICTORY", {"EnergyWindowInformationSequence": [window(126, 154)]}),
        ("INJECTED_ACTIVITY_IMPLAUSIBLE", {"pharmaceutical": {"RadionuclideTotalDose": "7.4"}}),
        ("INJECTED_ACTIVITY_IMPLAUSIBLE", {"pharmaceutical": {"RadionuclideTotalDose": "20000"}}),
        ("ACQUISITION_TIME_MISSING", {"AcquisitionTime": None}),
        ("ACQUISITION_TIME_MISSING", {"AcquisitionDate": None}),
        ("TIME_ZONE_MISSING", {"TimezoneOffsetFromUTC": None}),
    ],
)  # fmt: skip
def test_nm_refusals(tmp_path, refused, changes):
    path = nm(tmp_path / "a.dcm", **changes)
    assert refusal_of(lambda: read_one(path)).code == refused


@pytest.mark.parametrize(
    ("refused", "changes"),
    [
        ("UNIT_NOT_ACTIVITY", {"Units": "CNTS"}),
        ("UNIT_NOT_ACTIVITY", {"Units": "GML"}),
        ("UNIT_UNKNOWN", {"Units": "WHAT"}),
        ("UNIT_UNKNOWN", {"Units": None}),
        ("NUCLIDE_CONTRADICTORY", {"RadiopharmaceuticalInformationSequence": [
            item(RadionuclideHalfLife="6588", RadionuclideCodeSequence=[LU])]}),
        ("WRONG_NUCLIDE", {"RadiopharmaceuticalInformationSequence": [item(RadionuclideCodeSequence=[FDG])]}),
        ("INJECTED_ACTIVITY_IMPLAUSIBLE", {"RadiopharmaceuticalInformationSequence": [
            item(RadionuclideTotalDose="7400", RadionuclideCodeSequence=[LU])]}),
    ],
)  # fmt: skip
def test_pet_refusals(tmp_path, refused, changes):
    slices(tmp_path, PET, counts(), **changes)
    assert refusal_of(lambda: read_one(tmp_path)).code == refused


def test_several_files_in_an_nm_series_are_refused(tmp_path):
    nm(tmp_path / "a.dcm")
    nm(tmp_path / "b.dcm")
    assert refusal_of(lambda: read_one(tmp_path)).code == "FRAMES_AMBIGUOUS"


def test_enhanced_pet_is_refused(tmp_path):
    slices(tmp_path, PET, counts(), SOPClassUID="1.2.840.10008.5.1.4.1.1.130")
    assert refusal_of(lambda: read_one(tmp_path)).code == "ENHANCED_NOT_SUPPORTED"


# ------------------------------------------------------------------ what the series is


def test_modality_is_not_trusted(tmp_path):
    """GE writes Modality OT into a reconstruction (header facts of a Discovery 670)."""
    assert discover([nm(tmp_path / "a.dcm", Modality="OT")])[0].kind == "spect"


def test_a_spect_in_the_pet_object_is_a_spect_and_fdg_is_pet(tmp_path):
    slices(tmp_path / "lu", PET, counts())
    fdg = [item(RadionuclideTotalDose="3.9e8", RadionuclideCodeSequence=[FDG])]
    slices(tmp_path / "fdg", PET, counts(), series="1.2.3.1.7", RadiopharmaceuticalInformationSequence=fdg)
    assert {series.kind for series in discover([tmp_path])} == {"spect", "pet"}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("177 Lutetium", "Lu-177"),
        ("Lutetium-177", "Lu-177"),
        ("^177^Lutetium", "Lu-177"),
        ("Lu177", "Lu-177"),
        ("177Lu-DOTATATE", None),
        ("^99m^Technetium", "Tc-99m"),
        ("Tc99m", "Tc-99m"),
        ("18F", "F-18"),
        ("F^18^", "F-18"),
        ("I131", "I-131"),
        ("177", None),
        ("", None),
    ],
)
def test_nuclide_names(written, name):
    assert nuclide_from_text(written) == name


@pytest.mark.parametrize(
    "known",
    [
        code("SCT", "447553000", "whatever"),
        code("99SDM", "C-101ED", "177 Lutetium"),
        code("99LOCAL", "17", "Lutetium 177"),
    ],
)
def test_lutetium_by_code_or_meaning(tmp_path, known):
    path = nm(tmp_path / "a.dcm", pharmaceutical={"RadionuclideCodeSequence": [known]})
    assert read_one(path).radionuclide == "Lu-177"


def test_lutetium_by_window_is_noted(tmp_path):
    spect = read_one(nm(tmp_path / "a.dcm", pharmaceutical={"RadionuclideCodeSequence": None}))
    assert spect.radionuclide == "Lu-177"
    assert [note.split(":")[0] for note in spect.notes] == ["NUCLIDE_FROM_WINDOW"]


# ------------------------------------------------------------------ activity, time, decay


@pytest.mark.parametrize(
    ("dose", "expected_bq"), [("7400", 7.4e9), ("7.4e9", 7.4e9), ("0", None), (None, None), ("100", 1e8)]
)
def test_injected_activity_of_nm(tmp_path, dose, expected_bq):
    """Section 6.4: MBq, or Bq with a note; 0 is missing."""
    spect = read_one(nm(tmp_path / "a.dcm", pharmaceutical={"RadionuclideTotalDose": dose}))
    assert spect.injected_activity_bq == expected_bq
    assert any(note.startswith("INJECTED_ACTIVITY_IN_BQ") for note in spect.notes) == (dose == "7.4e9")


def test_acquisition_time_is_not_series_or_content_time(tmp_path):
    """Series and content of the writer are dated 2030."""
    assert read_one(nm(tmp_path / "a.dcm")).acquisition_start == DAY_1


def test_missing_offset_is_that_of_the_form_and_noted(tmp_path):
    path = nm(tmp_path / "a.dcm", TimezoneOffsetFromUTC=None)
    spect = read_one(path, default_offset=timezone(timedelta(hours=2)))
    assert spect.acquisition_start == datetime(2026, 3, 3, 10, 0, tzinfo=timezone(timedelta(hours=2)))
    assert any(note.startswith("TIME_ZONE_FROM_FORM") for note in spect.notes)


def test_acquisition_datetime_serves_where_date_and_time_are_missing(tmp_path):
    changes = {"AcquisitionDate": None, "AcquisitionTime": None, "TimezoneOffsetFromUTC": None}
    path = nm(tmp_path / "a.dcm", AcquisitionDateTime="20260303100000.000000+0100", **changes)
    assert read_one(path).acquisition_start == DAY_1


def test_earliest_bed_is_the_start(tmp_path):
    each = [{"AcquisitionTime": f"10{20 - 2 * k:02d}00"} for k in range(6)]
    slices(tmp_path, PET, counts(), each=each)
    spect = read_one(tmp_path)
    assert spect.acquisition_start == DAY_1 + timedelta(minutes=10)
    assert any(note.startswith("SEVERAL_BEDS") for note in spect.notes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"DecayCorrection": "START"}, "acquisition_start"),
        ({"DecayCorrection": "ADMIN", "DecayFactor": 1.128}, "administration"),
        ({"DecayCorrection": "ADMIN", "DecayFactor": 1}, None),
        ({"DecayCorrection": "NONE"}, "none"),
        ({"DecayCorrection": "NONE", "DecayFactor": 1.1}, None),
        ({"DecayCorrection": None}, None),
    ],
)
def test_decay_reference_of_pet(tmp_path, changes, expected):
    """ADMIN with a factor of 1 contradicts itself (header facts of an Intevo: 1.128 would be due at 27.7 h)."""
    slices(tmp_path, PET, counts(), **changes)
    spect = read_one(tmp_path)
    assert spect.decay_reference == expected
    assert bool(spect.decay_reference_problem) == (expected is None)


def test_nm_headers_never_tell_the_decay_reference(tmp_path):
    spect = read_one(nm(tmp_path / "a.dcm", CorrectedImage=["ATTN", "DECY"]))
    assert spect.decay_reference is None
    assert "DECY" in spect.decay_reference_problem


@pytest.mark.parametrize(
    ("rotation", "detectors", "projections"),
    [
        ({"NumberOfFramesInRotation": 1}, 1, None),  # GE writes 1 into a reconstruction
        ({"NumberOfFramesInRotation": 6}, 1, None),  # Mediso writes the number of slices
        ({"NumberOfFramesInRotation": 60}, 2, 120),
        ({"NumberOfFramesInRotation": 120}, 1, 120),
    ],
)
def test_projections_of_a_reconstruction(tmp_path, rotation, detectors, projections):
    spect = read_one(nm(tmp_path / "a.dcm", rotation=rotation, NumberOfDetectors=detectors))
    assert spect.projections == projections
    assert spect.frame_duration_s == 30.0


def test_long_software_version_is_read_without_a_warning(tmp_path):
    """69 characters where LO allows 64, as xSPECT writes; pytest turns pydicom's warning into an error."""
    from pydicom import config

    with config.disable_value_validation():
        path = nm(tmp_path / "a.dcm", SoftwareVersions="x" * 69)
    assert len(read_one(path).camera_headers["SoftwareVersions"]) == 69


def test_hash_depends_on_content_not_on_names(tmp_path):
    first = nm(tmp_path / "a.dcm")
    digest = read_one(first).input_sha256
    assert read_one(first.rename(tmp_path / "other.dcm")).input_sha256 == digest
    assert read_one(nm(tmp_path / "c.dcm", counts() + 1)).input_sha256 != digest


def test_a_bad_series_is_decoded_as_far_as_it_goes(tmp_path):
    path = nm(tmp_path / "a.dcm", detector={"ImagePositionPatient": None, "ImageOrientationPatient": None},
              pharmaceutical={"RadionuclideCodeSequence": [TC]})  # fmt: skip
    decoded = decode_spect(discover([path])[0])
    assert [problem.code for problem in decoded.problems] == ["GEOMETRY_MISSING", "WRONG_NUCLIDE"]
    assert decoded.value is not None
    assert decoded.value.sum() == counts().sum()
    assert decoded.spacing_mm == (4.0, 2.0, 3.0)


def test_values_of_12_bit_signed_pixels_keep_their_sign(tmp_path):
    """Stored -1 in 12 of 16 bits is 0x0FFF."""
    volume = np.full((6, 4, 5), 0x0FFF)
    path = nm(tmp_path / "a.dcm", volume, BitsStored=12, HighBit=11, PixelRepresentation=1)
    assert (read_one(path).value == -1).all()


def test_geometry_and_values_of_a_single_slice(tmp_path):
    spect = read_one(nm(tmp_path / "a.dcm", counts((1, 4, 5))))
    assert spect.grid.shape == (1, 4, 5)


def test_ge_pixel_scale_is_noted_not_applied(tmp_path):
    from pydicom.dataset import Dataset

    dataset = Dataset()
    dataset.private_block(0x0011, "GEMS_GENIE_1", create=True).add_new(0x3B, "FD", 4.179501533508301)
    path = nm(tmp_path / "a.dcm")
    import pydicom

    whole = pydicom.dcmread(path)
    whole.update(dataset)
    spect = read_one(save(whole, path))
    assert spect.vendor_pixel_scale == pytest.approx(4.1795015, rel=1e-7)
    assert spect.value.sum() == counts().sum()
    assert whole.SOPClassUID == NM
