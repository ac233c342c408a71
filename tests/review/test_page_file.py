"""The page as a file: what it carries, how large it is, that nothing of a result can break out of its place."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from page_phantom import realistic_volumes

from pipeline.domain.geometry import Grid
from pipeline.errors import RefusalError
from pipeline.files.schema import validate_result
from pipeline.review.page import PageVolumes, write_page
from pipeline.review.volumes import encode_volumes, quantisation_step

if TYPE_CHECKING:
    from pathlib import Path

    from page_phantom import Phantom

STATIC = files("pipeline.review") / "static"
LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0])


class Elements(HTMLParser):
    """Collects the scripts of a page and every address in its attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.addresses: list[str] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag == "script"
        if self._open:
            self.scripts.append((dict(attrs), ""))
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action", "data"}]

    def handle_data(self, data: str) -> None:
        if self._open:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)

    def handle_endtag(self, tag: str) -> None:
        self._open = False


def _read(path: Path) -> Elements:
    elements = Elements()
    elements.feed(path.read_text(encoding="utf-8"))
    return elements


def _volume(elements: Elements, name: str) -> Any:
    text = next(text for attributes, text in elements.scripts if attributes.get("id") == f"volume-{name}")
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, phantom: Phantom) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_page(path, phantom.document, phantom.volumes, None)
    return path


def test_the_document_of_these_tests_is_a_valid_result(document: dict[str, Any]) -> None:
    validate_result(document)


@pytest.mark.parametrize("name", ["ct", "labels", "dose", "activity-1", "activity-3"])
def test_stored_values_are_the_given_ones_where_they_were(page: Path, phantom: Phantom, name: str) -> None:
    # every voxel of the page against the given array at the same place: half a step of 1/32767 of the largest value
    # for dose and activity, nothing for CT and labels (rounding to 16 bits; the 1e-6 is float32 in the header)
    image = _volume(_read(page), name)
    values, grid = phantom.array(name)
    step = float(image.dataobj.slope)
    ras_mm = np.asarray(image.affine)
    index = np.moveaxis(np.indices(image.shape), 0, -1).reshape(-1, 3)
    places_lps_mm = (index @ ras_mm[:3, :3].T + ras_mm[:3, 3]) @ LPS_FROM_RAS
    at = grid.to_index(places_lps_mm)
    assert np.abs(at - np.rint(at)).max() < 1e-3
    z, y, x = np.rint(at).astype(int).T
    stored = np.asarray(image.dataobj).reshape(-1)
    exact = name in {"ct", "labels"}
    assert np.abs(stored - values[z, y, x]).max() <= (0 if exact else 0.5 * step * (1 + 1e-6))
    assert step == 1.0 if exact else step <= 1.001 * float(values.max()) / 32767


def test_the_page_is_cropped_to_body_and_labels(page: Path, phantom: Phantom) -> None:
    image = _volume(_read(page), "labels")
    labels = np.asarray(phantom.volumes.labels)
    assert np.count_nonzero(np.asarray(image.dataobj)) == np.count_nonzero(labels)
    assert np.prod(image.shape) < 0.85 * labels.size


def test_equal_input_gives_equal_bytes(page: Path, tmp_path: Path, phantom: Phantom) -> None:
    again = tmp_path / "other-name.html"
    write_page(again, phantom.document, phantom.volumes, None)
    assert again.read_bytes() == page.read_bytes()


def test_nothing_is_fetched_by_an_attribute(page: Path) -> None:
    assert _read(page).addresses == []


def test_the_policy_allows_the_page_s_own_script_and_style_only(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    rules = dict(part.strip().split(" ", 1) for part in policy.group(1).split(";"))
    script = next(text for attributes, text in _read(page).scripts if attributes.get("type") == "module")
    expected = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{expected}'"
    assert "connect-src" not in rules


def test_texts_of_a_result_stay_texts(tmp_path: Path, one_phantom: Phantom) -> None:
    hostile = "</script><script>alert(1)</script><img src=x> $title ${x}"
    document = json.loads(json.dumps(one_phantom.document))
    document["patient_key"] = hostile
    document["flags"][0]["text"] = hostile
    write_page(tmp_path / "index.html", document, one_phantom.volumes, None)
    elements = _read(tmp_path / "index.html")
    # content, ct, dose, labels, three activities, and the page's own script
    assert len(elements.scripts) == 8
    assert elements.addresses == []
    content = json.loads(next(text for attributes, text in elements.scripts if attributes.get("id") == "content"))
    assert content["header"]["patient_key"] == hostile
    assert [hostile] in [flag["lines"] for flag in content["flags"]]


def test_a_region_knows_its_label_and_place(page: Path, phantom: Phantom) -> None:
    content = json.loads(next(text for attributes, text in _read(page).scripts if attributes.get("id") == "content"))
    found = {region["key"]: (region["label"], region["place_ras_mm"]) for region in content["regions"]}
    assert found == {
        "kidney_left": (1, [-62.4, -24.0, -9.6]),
        "kidney_right": (2, [43.2, -28.8, -28.8]),
        "lesion-1": (11, [33.6, 38.4, 43.2]),
    }


def test_every_reason_flag_and_sum_is_in_the_content(page: Path, phantom: Phantom) -> None:
    content = json.loads(next(text for attributes, text in _read(page).scripts if attributes.get("id") == "content"))
    decision = phantom.document["decision"]
    reasons = [(reason["code"], reason["text"], reason["source"]) for reason in content["decision"]["reasons"]]
    assert reasons == [(reason["code"], reason["text"], reason["source"]) for reason in decision["reasons"]]
    assert [flag["code"] for flag in content["flags"]] == ["SECOND_CHECK_FAILED", "PVE_LIMITED", "SCAN_TIME_OFF_PLAN"]
    assert [(s["total_gy"], s["sigma_gy"], s["limit_gy"]) for s in content["sums"]] == [
        (9.5, 0.9, 23.0),
        (0.2, 0.04, 2.0),
    ]


def test_equal_flags_of_several_regions_stand_once(tmp_path: Path, one_phantom: Phantom) -> None:
    document = json.loads(json.dumps(one_phantom.document))
    found = [("lesion-1", "lesion-1: 5.5 mL"), ("lesion-2", "lesion-2: 3.4 mL")]
    document["flags"] = [
        {"code": "PVE_LIMITED", "level": "WARN", "text": f"{text}, below 8 mL; by recovery", "region": key}
        for key, text in [*found, ("lesion-1", "lesion-1: recovery coefficient 0.41")]
    ]
    write_page(tmp_path / "index.html", document, one_phantom.volumes, None)
    scripts = _read(tmp_path / "index.html").scripts
    content = json.loads(next(text for attributes, text in scripts if attributes.get("id") == "content"))
    (flag,) = content["flags"]
    assert (flag["code"], flag["regions"]) == ("PVE_LIMITED", "Lesion 1; Lesion 2")
    # two texts of one region are one badge in its row
    rows = {region["key"]: [badge["code"] for badge in region["flags"]] for region in content["regions"]}
    assert rows == {"kidney_left": [], "kidney_right": [], "lesion-1": ["PVE_LIMITED"]}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({}, ""),
        ({"protocol": "ROTTERDAM_4", "phase": "SALVAGE"}, "four cycles (Rotterdam), salvage phase"),
    ],
)
def test_a_protocol_nobody_knows_is_left_out(
    tmp_path: Path, one_phantom: Phantom, said: dict[str, str], shown: str
) -> None:
    document = json.loads(json.dumps(one_phantom.document))
    decision = document["decision"]
    for name in ("protocol", "phase", "protocol_recorded"):
        del decision[name]
    decision.update(said)
    write_page(tmp_path / "index.html", document, one_phantom.volumes, None)
    scripts = _read(tmp_path / "index.html").scripts
    content = json.loads(next(text for attributes, text in scripts if attributes.get("id") == "content"))
    assert content["header"]["protocol"] == shown


def test_a_realistic_cycle_stays_under_15_mb(tmp_path: Path, document: dict[str, Any]) -> None:
    write_page(tmp_path / "index.html", document, realistic_volumes(), None)
    assert (tmp_path / "index.html").stat().st_size < 15e6


def test_too_large_a_page_is_stored_in_coarser_steps_and_says_so(one_phantom: Phantom) -> None:
    fine = {volume.name: volume for volume in encode_volumes(one_phantom.volumes)}
    size = sum(len(volume.base64_text) for volume in fine.values())
    coarse = {volume.name: volume for volume in encode_volumes(one_phantom.volumes, limit_bytes=size - 1)}
    assert coarse["dose"].step == pytest.approx(fine["dose"].step * 32767 / 4095, rel=1e-6)
    assert coarse["ct"] == fine["ct"]
    assert sum(len(volume.base64_text) for volume in coarse.values()) < size


def test_a_fine_ct_is_averaged_in_place() -> None:
    # blocks of two along 1.2 mm axes; a ramp keeps its values at the blocks' centres
    grid = Grid((6, 40, 40), np.diag([1.0, 1.2, 1.2, 1.0])[[2, 1, 0, 3]] * 1.0, "1.2.3")
    places = grid.to_lps_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    ramp = np.rint(10 * places[..., 0] + 4 * places[..., 1]).astype(np.int16)
    nothing = np.zeros(grid.shape, dtype=np.float32)
    volumes = PageVolumes(ramp, nothing, (), nothing.astype(np.int16), grid, {})
    ct = next(volume for volume in encode_volumes(volumes) if volume.name == "ct")
    image = nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(ct.base64_text)))
    assert image.shape == (20, 20, 3)
    index = np.moveaxis(np.indices(image.shape), 0, -1)
    ras_mm = index @ image.affine[:3, :3].T + image.affine[:3, 3]
    assert np.abs(np.asarray(image.dataobj) - (-10 * ras_mm[..., 0] - 4 * ras_mm[..., 1])).max() <= 1.0


def test_a_step_never_clips_the_largest_value() -> None:
    for largest in (1e-12, 0.0734, 17.3, 1.148e6):
        step = quantisation_step(np.array([0.0, largest]))
        assert largest / step <= 32767.5
        assert float(np.float32(step)) == step
    assert quantisation_step(np.zeros(3)) == 1.0


def test_volumes_that_do_not_belong_together_are_refused(one_phantom: Phantom) -> None:
    given = one_phantom.volumes
    with pytest.raises(RefusalError, match="GRID_MISMATCH"):
        PageVolumes(given.ct_hu, given.ct_hu, (), given.labels, given.grid, {}, given.ct_grid, given.labels_grid)
    turned = np.array(given.grid_of_ct.affine_mm)
    turned[:3, :3] = turned[:3, :3] @ np.array([[1, 0, 0], [0, 0.995, -0.0998], [0, 0.0998, 0.995]])
    tilted = Grid(given.grid_of_ct.shape, turned, "1.2.3")
    with pytest.raises(RefusalError, match="not parallel"):
        PageVolumes(given.ct_hu, given.dose_gy, (), given.labels, given.grid, {}, tilted, given.labels_grid)


def test_the_shipped_files_are_those_that_were_built() -> None:
    lines = (STATIC / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    expected = dict(reversed(line.split("  ")) for line in lines)
    assert set(expected) == {"LICENSES.txt", "look.js", "page.html", "style.css"}
    assert {name: hashlib.sha256((STATIC / name).read_bytes()).hexdigest() for name in expected} == expected


def test_the_licences_of_bundled_code_are_shipped() -> None:
    text = (STATIC / "LICENSES.txt").read_text(encoding="utf-8")
    assert "Copyright (c) 2021, Niivue" in text
    for name in ("@niivue/niivue 0.69.0 (BSD-2-Clause)", "gl-matrix", "nifti-reader-js", "fflate"):
        assert name in text


def test_the_script_cannot_end_its_own_element() -> None:
    text = (STATIC / "look.js").read_text(encoding="utf-8").lower()
    assert "</script" not in text
    assert "<!--" not in text
