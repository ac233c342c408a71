"""The written files, read with a reader of the tests' own."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from datetime import date, timedelta

import numpy as np
import pydicom
import pytest
from phantom_reader import contours, ct_hu, nm_values_and_z, spect_bq
from scipy.ndimage import binary_dilation, binary_erosion

from pipeline.errors import RefusalError
from sample_dicom.example import EXAMPLE
from sample_dicom.scanner import hounsfield
from sample_dicom.write import write_phantom

VOXEL_ML = 0.48**3
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def labelled(written):
    """Label of each region of the truth, by position."""
    described = json.loads((written.cycle / "contours.json").read_text())
    by_key = {(d["name"], d["laterality"]): int(label) for label, d in described.items()}
    return [(region, by_key[region["name"], region["laterality"]]) for region in written.truth["regions"]]


def mean_over_acquisition(activity, hours):
    """Mean over 0.5 h from a scan's start, for a mono-exponential curve through the first two time points."""
    rate = np.log(activity[0] / activity[1]) / (hours[1] - hours[0])
    return np.array(activity) * (1.0 - np.exp(-rate * 0.5)) / (rate * 0.5)


def scan_hours(written):
    start = np.datetime64(written.truth["administered_at"][:19])
    return [(np.datetime64(s[:19]) - start) / np.timedelta64(1, "h") for s in written.truth["acquisition_starts"]]


def test_perfect_counts_times_factor_are_the_true_activities(perfect):
    """Every region at every time point within 2e-4 (integer counts) of the mean over the acquisition."""
    labels, _ = contours(perfect.cycle)
    hours = scan_hours(perfect)
    images = [spect_bq(perfect.cycle / f"tp-{k}" / "spect", perfect.factor, VOXEL_ML) for k in (1, 2, 3)]
    for region, label in labelled(perfect):
        seen = [image[labels == label].sum() for image in images]
        assert seen == pytest.approx(mean_over_acquisition(region["activity_bq"], hours), rel=2e-4)


def test_dialects_tell_the_same_activity(nema):
    """Spheres and background of the NEMA phantom in three encodings within 2e-4; PET is corrected to the start."""
    for region, label in labelled(nema["nm-counts"]):
        labels, _ = contours(nema["nm-counts"].cycle)
        for k in (1, 2):
            start = region["activity_bq"][k - 1]
            mean = start * (1.0 - 2.0 ** (-0.5 / 159.53)) / (np.log(2.0) * 0.5 / 159.53)
            for dialect, written in nema.items():
                bq = spect_bq(written.cycle / f"tp-{k}" / "spect", written.factor, VOXEL_ML)
                assert bq[labels == label].sum() == pytest.approx(start if dialect == "pet-bqml" else mean, rel=2e-4)


def test_slice_one_is_the_top_and_frames_may_be_stored_either_way(nema):
    """Spacing -4.8: slice 1 lies at the head; nm-counts stores it first, nm-rwv last; both give the same image."""
    by_dialect = {}
    for dialect, first in (("nm-counts", 1), ("nm-rwv", 46)):
        ds, stored, z = nm_values_and_z(nema[dialect].cycle / "tp-1" / "spect" / "spect.dcm")
        assert float(ds.SpacingBetweenSlices) == -4.8
        assert ds.SliceVector[0] == first
        assert "ImagePositionPatient" not in ds
        assert z.max() == pytest.approx(22.5 * 4.8)
        assert z[list(ds.SliceVector).index(1)] == z.max()
        by_dialect[dialect] = stored[np.argsort(z)] / stored.sum()
    assert np.abs(by_dialect["nm-counts"] - by_dialect["nm-rwv"]).max() < 1e-8
    spheres = next(r for r in nema["nm-counts"].truth["regions"] if r["name"] == "lesion-6")
    hottest = np.unravel_index(np.argmax(by_dialect["nm-counts"]), (46, 80, 80))
    assert abs((hottest[0] - 22.5) * 4.8 - spheres["centroid_lps_mm"][2]) < 20.0


@pytest.mark.parametrize("which", ["perfect", "realistic"])
def test_contours_and_truth_tell_the_same_regions(which, request):
    """Volume and centroid of the NIfTI labels (RAS) equal the truth (LPS): 1e-6 and 1e-3 mm."""
    written = request.getfixturevalue(which)
    labels, affine = contours(written.cycle)
    voxel_ml = abs(np.linalg.det(affine[:3, :3])) / 1000.0
    assert voxel_ml == pytest.approx(VOXEL_ML if which == "perfect" else VOXEL_ML / 8.0)
    regions = labelled(written)
    assert set(np.flatnonzero(np.bincount(labels.ravel()))) == {0, *(label for _, label in regions)}
    used = np.argwhere(labels)
    of_voxel = labels[labels > 0]
    for region, label in regions:
        index = used[of_voxel == label]
        assert len(index) * voxel_ml == pytest.approx(region["volume_ml"], rel=1e-6)
        ras = affine[:3, :3] @ index.mean(axis=0) + affine[:3, 3]
        assert ras * LPS_TO_RAS == pytest.approx(region["centroid_lps_mm"], abs=1e-3)
        if region["laterality"]:
            assert (ras[0] < 0) == (region["laterality"] == "left")


def test_perfect_ct_gives_the_true_density_back(perfect):
    """Piecewise constant over SPECT voxels; HU through the site's curve gives mass / volume of each region (1e-6)."""
    _, hu = ct_hu(perfect.cycle / "tp-1" / "ct")
    blocks = hu.reshape(90, 2, 128, 2, 128, 2)
    assert np.ptp(blocks, axis=(1, 3, 5)).max() == 0
    curve = np.array(perfect.site["ct"]["density_curve"])
    density = np.interp(blocks[:, 0, :, 0, :, 0], curve[:, 0], curve[:, 1])
    labels, _ = contours(perfect.cycle)
    for region, label in labelled(perfect):
        assert density[labels == label].mean() == pytest.approx(region["mass_g"] / region["volume_ml"], rel=1e-6)


def test_spect_voxels_are_blocks_of_ct_voxels(perfect):
    """CT 2.4 mm, SPECT 4.8 mm; the first SPECT centre lies 1.2 mm inside the first CT centre."""
    planes, _ = ct_hu(perfect.cycle / "tp-1" / "ct")
    ds, _, z = nm_values_and_z(perfect.cycle / "tp-1" / "spect" / "spect.dcm")
    ct_corner = np.array(planes[0].ImagePositionPatient, float)
    spect_corner = np.array([*ds.DetectorInformationSequence[0].ImagePositionPatient[:2], z.min()], float)
    assert list(planes[0].PixelSpacing) == [2.4, 2.4]
    assert spect_corner - ct_corner == pytest.approx([1.2, 1.2, 1.2], abs=1e-9)


def test_frames_of_reference_times_and_reprocessing(realistic):
    """SPECT and CT share a frame, time points do not; series and content are dated a day after the acquisition."""
    frames = []
    for k in (1, 2, 3):
        folder = realistic.cycle / f"tp-{k}"
        spect = pydicom.dcmread(folder / "spect" / "spect.dcm", stop_before_pixels=True)
        ct = pydicom.dcmread(folder / "ct" / "ct-001.dcm", stop_before_pixels=True)
        assert spect.FrameOfReferenceUID == ct.FrameOfReferenceUID
        assert spect.TimezoneOffsetFromUTC == "+0100"
        acquired = date.fromisoformat(spect.AcquisitionDate)
        assert date.fromisoformat(spect.SeriesDate) - acquired == timedelta(days=1)
        assert spect.ContentDate == spect.SeriesDate
        stated = realistic.truth["acquisition_starts"][k - 1]
        assert acquired.isoformat() + "T" + spect.AcquisitionTime[:4] == stated[:16].replace(":", "")[:10] + stated[
            10:16
        ].replace(":", "")
        frames.append(spect.FrameOfReferenceUID)
    assert len(set(frames)) == 3


def test_injected_activity_is_mbq_in_nm_and_bq_in_pet(nema):
    """Table 6.4 of the specification: the same tag holds MBq in NM and Bq in PET."""
    given = nema["nm-counts"].truth["activity_bq"]
    for dialect, unit in (("nm-counts", 1e6), ("nm-rwv", 1e6), ("pet-bqml", 1.0)):
        path = next((nema[dialect].cycle / "tp-1" / "spect").iterdir())
        (item,) = pydicom.dcmread(path, stop_before_pixels=True).RadiopharmaceuticalInformationSequence
        assert float(item.RadionuclideTotalDose) * unit == pytest.approx(given, rel=1e-6)


def test_pet_slices_have_slopes_of_their_own_and_say_start(nema):
    """46 files; as many slopes as slices with different maxima; DecayCorrection START as site.toml says."""
    files = [pydicom.dcmread(p) for p in (nema["pet-bqml"].cycle / "tp-1" / "spect").iterdir()]
    assert len(files) == 46
    assert len({float(ds.RescaleSlope) for ds in files}) > 1
    assert {ds.DecayCorrection for ds in files} == {"START"}
    assert nema["pet-bqml"].site["camera"]["phantom-pet-bqml"]["decay_reference"] == "acquisition_start"


def test_noise_in_the_liver_is_ten_percent_at_24_h(realistic):
    """Coefficient of variation inside the eroded liver 0.10 +- 0.02 at 24 h, rising as 1/sqrt(counts)."""
    labels, _ = contours(realistic.cycle)
    host = json.loads((realistic.cycle / "contours.json").read_text())
    hepatic = [int(label) for label, d in host.items() if d.get("host") == "liver"]
    inner = binary_erosion(labels[::2, ::2, ::2] == 3, iterations=5)
    assert hepatic
    assert inner.sum() > 500
    cov, mean = [], []
    for k in (1, 3):
        image = spect_bq(realistic.cycle / f"tp-{k}" / "spect", realistic.factor, VOXEL_ML)
        cov.append(image[inner].std() / image[inner].mean())
        mean.append(image[inner].mean())
    assert cov[0] == pytest.approx(0.10, abs=0.02)
    assert cov[1] / cov[0] == pytest.approx(np.sqrt(mean[0] / mean[1]), rel=0.15)


def test_noise_and_blur_keep_the_total_activity(realistic):
    """Whole image against the truth: decay during the half hour is under 0.7 %, noise under 0.5 %."""
    for k in (1, 2, 3):
        total = spect_bq(realistic.cycle / f"tp-{k}" / "spect", realistic.factor, VOXEL_ML).sum()
        assert total == pytest.approx(realistic.truth["total_activity_bq"][k - 1], rel=0.012)


def test_realistic_ct_has_noise_and_a_table_and_shows_kidneys(realistic):
    """Noise 15 HU; kidney 56 HU and fat -76 HU (the site's curve at 1.05 and 0.95 g/cm3); a table below the back."""
    _, hu = ct_hu(realistic.cycle / "tp-1" / "ct")
    labels, _ = contours(realistic.cycle)
    liver = hu[binary_erosion(labels == 3, iterations=2)]
    assert liver.std() == pytest.approx(15.0, rel=0.05)
    left = labels == 1
    cortex = binary_erosion(left, iterations=1) & ~binary_erosion(left, iterations=3)
    assert np.median(hu[cortex]) == pytest.approx(56.0, abs=3.0)
    around = hu[binary_dilation(left, iterations=2) & ~binary_dilation(left)]
    assert np.median(around) == pytest.approx(-76.0, abs=5.0)
    middle = hu[90, :, 128] > -500
    edges = np.flatnonzero(np.diff(middle.astype(int)))
    assert len(edges) == 6, "body, then two sheets of the table"
    assert edges[2] - edges[1] >= 3


def test_a_table_wider_than_a_small_matrix_spans_it():
    """128 columns hold less than the table's 168: every column below the back has it (a fixed bug)."""
    labels = np.zeros((2, 128, 128), dtype=np.uint8)
    labels[:, 40:80, 40:80] = 1
    density = np.zeros(256)
    density[1] = 1.0
    hu = hounsfield(labels, density, np.random.default_rng(1))
    assert (hu[:, 84:86] > -300).all()
    assert (hu[:, 81:83] < -900).all()


def test_the_same_call_writes_the_same_bytes(tmp_path):
    """Two runs of one seed agree file by file; another seed differs."""

    def digest(name, seed):
        write_phantom(tmp_path / name, kind="cylinder", seed=seed)
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        return {p.relative_to(tmp_path / name): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    first = digest("a", 5)
    assert first == digest("b", 5)
    other = digest("c", 6)
    spect = next(p for p in first if p.name == "spect.dcm")
    assert first[spect] != other[spect]


def test_the_example_zip_is_what_the_code_writes(perfect):
    """CRC of every member against the files just written; make it anew with python -m sample_dicom.example."""
    with zipfile.ZipFile(EXAMPLE) as archive:
        stored = {entry.filename: entry.CRC for entry in archive.infolist()}
    paths = (p for p in perfect.folder.rglob("*") if p.is_file())
    assert stored == {p.relative_to(perfect.folder).as_posix(): zlib.crc32(p.read_bytes()) for p in paths}
    assert EXAMPLE.stat().st_size < 2_000_000


@pytest.mark.parametrize("wrong", [{"kind": "dog"}, {"dialect": "png"}, {"seed": -1}, {"cycles": 0}])
def test_what_does_not_exist_is_refused(tmp_path, wrong):
    with pytest.raises(RefusalError, match="PHANTOM_UNKNOWN"):
        write_phantom(tmp_path / "never", **({"kind": "patient"} | wrong))
    assert not (tmp_path / "never").exists()
