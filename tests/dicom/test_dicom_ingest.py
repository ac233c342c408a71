"""From folders to a study: pairing, clocks, mixtures, cameras."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from shutil import copytree, rmtree

import numpy as np
import pytest
from dicom_writer import DAY_1, GIVEN, PET, code, counts, ct, form, item, nm, site, slices
from refusals import refusal_of

from pipeline.domain.therapy import Administration
from pipeline.files.forms import CycleForm
from pipeline.steps.camera import camera_for
from pipeline.steps.ingest import ingest


def pair(folder, **changes):
    """Write one SPECT with its CT at 24 h."""
    ct_changes = changes.pop("ct", {})
    nm(folder / "spect.dcm", **changes)
    ct(folder / "ct", **ct_changes)
    return folder


def test_three_time_points_in_order(cycle):
    study = ingest([cycle / "tp-2", cycle / "tp-0", cycle / "tp-1"], site(), form())
    assert [point.timing.delay_s for point in study.time_points] == [24 * 3600.0, 96 * 3600.0, 168 * 3600.0]
    assert [float(point.spect.value.sum()) for point in study.time_points] == [
        float((counts() + k).sum()) for k in range(3)
    ]
    assert all(point.spect.study_uid == point.ct.study_uid for point in study.time_points)
    assert {int(point.ct.ct.ct_number_hu[0, 0, 0]) for point in study.time_points} == {0}


def test_duration_follows_from_frames_projections_and_heads(tmp_path):
    """120 projections of 30 s on two heads take 1800 s; two heads are noted where nothing tells, one is believed."""
    study = ingest([pair(tmp_path)], site(), form())
    assert study.time_points[0].timing.acquisition_duration_s == 1800.0
    assert any(note.startswith("HEADS_ASSUMED") for note in study.time_points[0].spect.notes)
    study = ingest([tmp_path], site(heads=1), form())
    assert study.time_points[0].timing.acquisition_duration_s == 3600.0
    assert not study.time_points[0].spect.notes


def test_views_per_head_become_projections_of_all_heads(tmp_path):
    """60 views of a header that lost its heads: 120 projections with two heads of the site; without, it is refused."""
    pair(tmp_path, rotation={"NumberOfFramesInRotation": 60})
    point = ingest([tmp_path], site(projections=None, heads=2), form()).time_points[0]
    assert camera_for(point.spect, site(projections=None, heads=2)).projections == 120
    assert refusal_of(lambda: ingest([tmp_path], site(projections=None), form())).code == "FRAME_TIMING_MISSING"


def test_duration_of_a_pet_object_is_its_own(tmp_path):
    slices(tmp_path / "spect", PET, counts(), series="1.2.3.1.5")
    ct(tmp_path / "ct")
    profile = site(decay_reference=None, calibration_factor_bq_s_per_count=None, calibrated_on=None)
    study = ingest([tmp_path], profile, form())
    assert study.time_points[0].timing.acquisition_duration_s == 1800.0
    assert study.time_points[0].spect.unit == "Bq/mL"


def test_other_objects_beside_the_spect_are_left_aside(tmp_path):
    pair(tmp_path)
    nm(tmp_path / "planar.dcm", series="1.2.3.8", ImageType=["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"])
    nm(tmp_path / "raw.dcm", series="1.2.3.7", ImageType=["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"])
    assert len(ingest([tmp_path], site(), form()).time_points) == 1


def test_the_nearest_ct_of_the_study_is_taken(tmp_path):
    pair(tmp_path)
    later = DAY_1 + timedelta(hours=2)
    ct(tmp_path / "diagnostic", series="1.2.3.1.3", start=later, volume=np.full((8, 6, 6), 1500))
    assert ingest([tmp_path], site(), form()).time_points[0].ct.series_uid == "1.2.3.1.2"


def test_a_ct_of_another_study_serves_within_three_hours(tmp_path):
    pair(tmp_path, ct={"study": "1.2.3.77", "start": DAY_1 + timedelta(hours=2.9)})
    assert ingest([tmp_path], site(), form()).time_points[0].ct.study_uid == "1.2.3.77"


def test_different_grids_among_time_points_are_fine(tmp_path):
    pair(tmp_path / "a")
    day_4 = GIVEN + timedelta(hours=96)
    names = {"study": "1.2.3.4", "start": day_4, "frame": "1.2.3.4.9"}
    nm(tmp_path / "b" / "spect.dcm", counts((3, 4, 5)), series="1.2.3.4.1", spacing=6.0, **names)
    ct(tmp_path / "b" / "ct", series="1.2.3.4.2", **names)
    shapes = [point.spect.grid.shape for point in ingest([tmp_path], site(), form()).time_points]
    assert shapes == [(6, 4, 5), (3, 4, 5)]


def test_verify_accepts_another_frame_of_reference_and_says_so(tmp_path):
    pair(tmp_path, ct={"frame": "1.2.3.99"})
    study = ingest([tmp_path], site("verify"), form())
    assert any(note.startswith("FRAME_OF_REFERENCE_MISSING") for note in study.time_points[0].spect.notes)


def test_verify_accepts_a_missing_frame_of_reference(tmp_path):
    pair(tmp_path, FrameOfReferenceUID=None)
    assert len(ingest([tmp_path], site("verify"), form()).time_points) == 1


def test_residual_or_measured_activity_in_the_header_both_agree(tmp_path):
    """The header may hold the measured activity: 7400 of 8400 MBq net would be 12 % off, of 7500 measured 1 %."""
    pair(tmp_path)
    administration = Administration("key-1", 1, "Lu-177", 8.4e9, GIVEN)
    assert ingest([tmp_path], site(), CycleForm(administration, None, 7.5e9, 0.0))


@pytest.mark.parametrize(
    ("refused", "changes"),
    [
        ("FRAME_OF_REFERENCE_DIFFERENT", {"ct": {"frame": "1.2.3.99"}}),
        ("FRAME_OF_REFERENCE_DIFFERENT", {"FrameOfReferenceUID": None}),
        ("CT_MISSING", {"ct": {"study": "1.2.3.77", "start": DAY_1 + timedelta(hours=3.1)}}),
        ("CT_MISSING", {"ct": {"start": DAY_1 + timedelta(hours=13)}}),
        ("PATIENTS_MIXED", {"ct": {"patient": "P2"}}),
        ("CAMERA_UNKNOWN", {"ManufacturerModelName": "TWO"}),
        ("WRONG_NUCLIDE", {"pharmaceutical": {"RadionuclideCodeSequence": [code("X", "Y", "I131")]}}),
        ("INJECTED_ACTIVITY_CONTRADICTORY", {"pharmaceutical": {"RadionuclideTotalDose": "6600"}}),
        (
            "SCAN_BEFORE_ADMINISTRATION",
            {"start": GIVEN - timedelta(hours=1), "ct": {"start": GIVEN - timedelta(hours=1)}},
        ),
        ("SCAN_OF_ANOTHER_CYCLE", {"start": GIVEN + timedelta(days=43), "ct": {"start": GIVEN + timedelta(days=43)}}),
        ("DECAY_REFERENCE_CONTRADICTORY", {"CorrectedImage": ["ATTN", "DECY"]}),
        ("FRAME_DURATION_CONTRADICTORY", {"rotation": {"ActualFrameDuration": 20000}}),
        ("PROJECTIONS_CONTRADICTORY", {"rotation": {"NumberOfFramesInRotation": 64}}),
        ("GANTRY_TILT", {"ct": {"GantryDetectorTilt": 5.0}}),
    ],
)
def test_refusals(tmp_path, refused, changes):
    pair(tmp_path, **changes)
    assert refusal_of(lambda: ingest([tmp_path], site(), form())).code == refused


@pytest.mark.parametrize(
    ("refused", "camera"),
    [
        ("CALIBRATION_MISSING", {"calibration_factor_bq_s_per_count": None, "calibrated_on": None}),
        ("DECAY_REFERENCE_UNKNOWN", {"decay_reference": None}),
        ("FRAME_TIMING_MISSING", {"projections": None}),
        ("PROJECTIONS_CONTRADICTORY", {"projections": 90}),
    ],
)
def test_site_refusals(tmp_path, refused, camera):
    pair(tmp_path, rotation={"NumberOfFramesInRotation": 60} if camera.get("projections") else {})
    assert refusal_of(lambda: ingest([tmp_path], site(**camera), form())).code == refused


def test_pet_without_any_duration_is_refused(tmp_path):
    slices(tmp_path / "spect", PET, counts(), series="1.2.3.1.5", ActualFrameDuration=None)
    ct(tmp_path / "ct")
    profile = site(decay_reference=None, frame_duration_s=None, projections=None)
    assert refusal_of(lambda: ingest([tmp_path], profile, form())).code == "ACQUISITION_DURATION_MISSING"


def test_contradictory_decay_header_needs_the_site(tmp_path):
    """XSPECT: ADMIN with a factor of 1; the site's word settles it."""
    slices(tmp_path / "spect", PET, counts(), series="1.2.3.1.5", DecayCorrection="ADMIN", DecayFactor=1)
    ct(tmp_path / "ct")
    unsettled = refusal_of(lambda: ingest([tmp_path], site(decay_reference=None), form()))
    assert unsettled.code == "DECAY_REFERENCE_UNKNOWN"
    assert ingest([tmp_path], site(decay_reference="administration"), form())


def test_a_site_against_a_clear_decay_header_is_refused(tmp_path):
    slices(tmp_path / "spect", PET, counts(), series="1.2.3.1.5")
    ct(tmp_path / "ct")
    error = refusal_of(lambda: ingest([tmp_path], site(decay_reference="none"), form()))
    assert error.code == "DECAY_REFERENCE_CONTRADICTORY"


def test_two_cameras_that_match_are_refused(tmp_path):
    pair(tmp_path)
    profile = site()
    twin = replace(profile.cameras[0], camera_id="two", match=(("Manufacturer", "TEST"),))
    profile = replace(profile, cameras=(*profile.cameras, twin))
    assert refusal_of(lambda: ingest([tmp_path], profile, form())).code == "CAMERA_AMBIGUOUS"


def test_ge_pixel_scale_needs_the_site_and_is_applied_or_ignored(tmp_path):
    import pydicom
    from dicom_writer import save

    pair(tmp_path)
    dataset = pydicom.dcmread(tmp_path / "spect.dcm")
    dataset.private_block(0x0011, "GEMS_GENIE_1", create=True).add_new(0x3B, "FD", 4.0)
    save(dataset, tmp_path / "spect.dcm")
    assert refusal_of(lambda: ingest([tmp_path], site(), form())).code == "PIXEL_SCALE_UNSETTLED"
    ignored = ingest([tmp_path], site(vendor_pixel_scale="ignore"), form()).time_points[0].spect
    applied = ingest([tmp_path], site(vendor_pixel_scale="apply"), form()).time_points[0].spect
    assert np.array_equal(applied.value, 4.0 * ignored.value)


def test_empty_folder_is_refused(tmp_path):
    assert refusal_of(lambda: ingest([tmp_path], site(), form())).code == "SPECT_MISSING"


def test_planar_alone_is_refused(tmp_path):
    nm(tmp_path / "planar.dcm", ImageType=["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"])
    error = refusal_of(lambda: ingest([tmp_path], site(), form()))
    assert (error.code, "planar" in error.found) == ("SPECT_MISSING", True)


def test_missing_ct_of_one_time_point_is_refused(cycle):
    rmtree(cycle / "tp-1" / "ct")
    assert refusal_of(lambda: ingest([cycle], site(), form())).code == "CT_MISSING"


def test_one_ct_for_two_time_points_is_refused(tmp_path):
    pair(tmp_path)
    nm(tmp_path / "later.dcm", series="1.2.3.1.8", start=DAY_1 + timedelta(hours=2))
    assert refusal_of(lambda: ingest([tmp_path], site(), form())).code == "CT_MISSING"


def test_copied_time_point_is_refused(cycle):
    copytree(cycle / "tp-0", cycle / "copy")
    assert refusal_of(lambda: ingest([cycle], site(), form())).code == "FRAMES_AMBIGUOUS"


@pytest.mark.parametrize("minutes", [0, 59])
def test_second_reconstruction_of_a_scan_is_refused(tmp_path, minutes):
    pair(tmp_path)
    nm(tmp_path / "again.dcm", counts() * 2, series="1.2.3.1.8", start=DAY_1 + timedelta(minutes=minutes))
    assert refusal_of(lambda: ingest([tmp_path], site(), form())).code == "TIME_POINT_DUPLICATE"


def test_mixed_files_within_one_series_are_refused(tmp_path):
    """Two patients under one series UID: the Patient ID of every file counts."""
    pair(tmp_path, ct={"each": [{}] * 7 + [{"PatientID": "P2"}]})
    assert refusal_of(lambda: ingest([tmp_path], site(), form())).code == "PATIENTS_MIXED"


def test_fdg_pet_among_the_series_is_refused(tmp_path):
    pair(tmp_path)
    fdg = [item(RadionuclideTotalDose="3.9e8", RadionuclideCodeSequence=[code("99SDM", "C-111A1", "18F")])]
    slices(tmp_path / "pet", PET, counts(), series="1.2.3.1.6", RadiopharmaceuticalInformationSequence=fdg)
    assert refusal_of(lambda: ingest([tmp_path], site(), form())).code == "WRONG_NUCLIDE"
