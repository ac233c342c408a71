"""Public files, read exactly or refused for the right reason; SimpleITK (GDCM) is the second reader.

Set PRRT_PUBLIC_DATA to the folder that holds them (docs tell how to get them); without it these tests are skipped.
"""

from __future__ import annotations

import os
from datetime import UTC
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.dicom.discover import discover
from pipeline.dicom.read_ct import read_ct
from pipeline.steps.inspect_series import inspect_paths

PUBLIC = os.environ.get("PRRT_PUBLIC_DATA", "")
pytestmark = pytest.mark.skipif(
    not PUBLIC, reason="PRRT_PUBLIC_DATA is not set: the readers were NOT checked on real scanners' files"
)
ROOT = Path(PUBLIC)


def described(path: Path) -> dict:
    (series,) = inspect_paths([path])["series"]
    return series


def unpacked(name: str, folder: Path) -> Path:
    with ZipFile(ROOT / name) as archive:
        archive.extractall(folder)
    return folder


def itk_volume(folder: Path, series_uid: str) -> sitk.Image:
    names = {}
    for parent in {path.parent for path in folder.rglob("*.dcm")}:
        names[parent] = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(parent), series_uid)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(max(names.values(), key=len))
    return reader.Execute()


def itk_centroid(image: sitk.Image, values: np.ndarray) -> np.ndarray:
    z, y, x = np.indices(values.shape)
    total = values.sum()
    index = [float((axis * values).sum() / total) for axis in (x, y, z)]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index))


def test_mediso_recon_tomo_geometry_and_nuclide():
    """Negative spacing, geometry of the detector, 99mTc; GDCM flips the slice axis, every voxel has the same place."""
    path = ROOT / "nm" / "mediso_jaszczak_recon_tomo.dcm"
    series = described(path)
    assert (series["kind"], series["accepted"], series["reason"]) == ("spect", False, "WRONG_NUCLIDE")
    assert series["radionuclide"] == "Tc-99m"
    image = sitk.ReadImage(str(path))
    values = sitk.GetArrayFromImage(image).astype(float)
    assert series["total_counts"] == values.sum()
    assert series["centroid_lps_mm"] == pytest.approx(itk_centroid(image, values).tolist(), abs=1e-3)
    assert series["spacing_mm"] == pytest.approx(image.GetSpacing()[::-1], abs=1e-6)
    # Slice 1 at z = -165.2 is the highest of 45: the lowest lies 44 x 4.13 mm below.
    assert series["affine_lps_mm"][2][3] == pytest.approx(-165.199986 - 44 * 4.12999964, abs=1e-6)
    assert series["affine_lps_mm"][2][0] == pytest.approx(4.12999964, abs=1e-9)
    # Acquired 14 Nov, series and content dated 16 Nov (clinical specification, 3.3).
    assert series["acquisition_start"] == "2014-11-14T18:45:21"
    assert series["injected_activity_bq"] is None


def test_ge_planar_and_mediso_flood_are_planar():
    for name, total in (("ge_millennium_wb_planar_NM1_UNC.dcm", None), ("mediso_flood_static.dcm", 16000045.0)):
        series = described(ROOT / "nm" / name)
        assert (series["kind"], series["accepted"], series["reason"]) == ("planar", False, "PLANAR_NOT_SPECT")
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(ROOT / "nm" / name)))
        assert series["total_counts"] == values.sum(dtype=float)
        assert total is None or series["total_counts"] == total  # (0018,0070) Counts Accumulated


def test_pmod_kernel_uses_its_mapping_and_is_refused():
    """Mapping 6.3058e-06 x stored, unit MGY_MBQS, no orientation, no nuclide; GDCM reads the stored values."""
    path = ROOT / "kernels" / "pmod_nm_rwv_kernel_softtissue.dcm"
    series = described(path)
    assert (series["kind"], series["dialect"], series["accepted"]) == ("spect", "nm-rwv", False)
    assert series["reasons"] == ["GEOMETRY_MISSING", "UNIT_UNKNOWN", "NUCLIDE_UNKNOWN"]
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(float)
    assert series["total_value"] == pytest.approx(stored.sum() * 6.305848273768788e-06, rel=1e-6)
    assert series["shape"] == [51, 51, 51]


def test_ge_ct_is_read_exactly_with_padding_as_air(tmp_path):
    """CRLM-CT-1004 (CC BY 4.0, 10.7937/QXK2-QG03): padding at -3024 HU, 5 mm slices."""
    folder = unpacked("ct_abdomen/crlm-ct-1004_ge_lightspeed16.zip", tmp_path)
    series = next(one for one in discover([folder]) if one.kind == "ct")
    ct_map = read_ct(series, default_offset=UTC).ct
    image = itk_volume(folder, series.series_uid)
    other = sitk.GetArrayFromImage(image)
    assert other.min() == -3024
    assert np.array_equal(ct_map.ct_number_hu, np.where(other < -1024, -1000, other))
    expected = [image.TransformIndexToPhysicalPoint(index) for index in ((0, 0, 0), (511, 0, 0), (7, 300, 30))]
    assert np.allclose(ct_map.grid.to_lps_mm([(0, 0, 0), (0, 0, 511), (30, 300, 7)]), expected, rtol=0, atol=1e-3)
    assert described(folder)["accepted"] is True


def test_ge_fdg_pet_is_read_exactly_and_refused_as_fdg(tmp_path):
    """STS_001 (CC BY 3.0, TCIA Soft-tissue-Sarcoma): 267 slices with 267 slopes, 6 beds, DecayCorrection START."""
    folder = unpacked("pet_bqml_ge/sts_001_fdg_pet_ge_discovery_st.zip", tmp_path)
    series = described(folder)
    assert (series["kind"], series["accepted"], series["reason"]) == ("pet", False, "WRONG_NUCLIDE")
    assert (series["radionuclide"], series["injected_activity_bq"]) == ("F-18", 3.88777472e8)
    assert (series["unit"], series["decay_reference"]) == ("Bq/mL", "acquisition_start")
    image = itk_volume(folder, series["series_uid"])
    values = sitk.GetArrayFromImage(image).astype(float)
    volume_ml = float(np.prod(image.GetSpacing())) / 1000.0
    assert series["total_bq"] == pytest.approx(values.sum() * volume_ml, rel=1e-4)
    assert series["centroid_lps_mm"] == pytest.approx(itk_centroid(image, values).tolist(), abs=0.05)
    assert series["shape"] == list(values.shape) == [267, 128, 128]
