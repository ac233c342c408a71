"""The phantom's three dialects hold the same activity at the same place, though they store it in three ways."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.domain.nuclide import Radionuclide
from pipeline.files.forms import load_blood, load_cycle_form, load_imaging, load_labs
from pipeline.files.nifti import read_contours
from pipeline.settings import load_site
from pipeline.steps.ingest import camera_for, ingest
from pipeline.steps.quantify import quantify
from sample_dicom.write import DIALECTS, write_phantom

# Half-life only; energies play no part here. 159.53 h: section 0 of the clinical specification.
LU_177 = Radionuclide("Lu-177", 159.53 * 3600, 0.133, 0.014, 0.035, "test", "test")


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_is_read_with_the_right_total_place_and_time(tmp_path, dialect):
    """Total at acquisition start within 0.3 %: the product corrects the 30 min of acquisition for physical decay only.

    Effective half-lives from 45 h on move the mean over 30 min by at most 0.28 % more than physical decay does. Places:
    the mean uptake inside each true kidney (perfect: regions of whole voxels) is that of the truth within 1 %.
    """
    write_phantom(tmp_path, kind="patient", dialect=dialect, perfect=True, cycles=1)
    site, form = load_site(tmp_path / "site.toml"), load_cycle_form(tmp_path / "cycle-1" / "cycle.toml")
    study = ingest([tmp_path / "cycle-1"], site, form)
    truth = json.loads((tmp_path / "truth.json").read_text())["cycles"][0]
    assert study.administration.activity_bq == truth["activity_bq"]
    assert [p.timing.acquisition_start.isoformat() for p in study.time_points] == truth["acquisition_starts"]
    contours = read_contours([tmp_path / "cycle-1" / "contours.nii.gz"], "")
    for k, point in enumerate(study.time_points):
        activity = quantify(point, camera_for(point.spect, site), LU_177, study.administration)
        found_bq = np.asarray(activity.activity_bq_per_ml, dtype=float) * activity.grid.voxel_volume_ml
        assert found_bq.sum() == pytest.approx(truth["total_activity_bq"][k], rel=3e-3)
        assert point.timing.acquisition_duration_s == 1800.0
        assert np.allclose(contours.grid.affine_mm, activity.grid.affine_mm, rtol=0, atol=1e-3)
        for region in contours.regions:
            true_bq = _true_bq(truth, region.name, region.laterality)[k]
            assert found_bq[contours.mask(region)].sum() == pytest.approx(true_bq, rel=1e-2), region.key
    assert load_blood(tmp_path / "cycle-1" / "blood.csv").time_s[0] == 1800.0
    assert load_labs(tmp_path / "labs.csv")
    assert load_imaging(tmp_path / "imaging.csv")


def _true_bq(truth, name, laterality) -> list[float]:
    return next(r["activity_bq"] for r in truth["regions"] if (r["name"], r["laterality"]) == (name, laterality))
