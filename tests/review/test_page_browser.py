"""The page in a browser: it draws, left is left, values are those of the arrays, and nothing leaves the page.

Debian's Chromium with the software renderer SwiftShader, from ``file://``, as on a desk without a graphics card.
"""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from page_phantom import BONE_LPS_MM, MARKS, TIMES_H
from PIL import Image

from pipeline.review.page import write_page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from page_phantom import Phantom
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.needs("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
]
WIDTH, HEIGHT = 1280, 900
READY = "body[data-ready], body[data-error]"
COMPLETE = "body[data-complete], body[data-error]"
# centres of the marks in RAS mm
PLACES_RAS_MM = {name: (-c[0], -c[1], c[2]) for name, c in ((f"{m[0]}_{m[1]}" if m[1] else m[0], m[2]) for m in MARKS)}
QUIET_RAS_MM = (9.6, 4.8, 9.6)
# where the order of the stored axes cannot matter, one order is enough
in_one_order = pytest.mark.parametrize("phantom", ["rows-to-the-left"], indirect=True)


class Watch:
    """What a page asks for and complains about."""

    def __init__(self, page: Page) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def opened(
    browser: Browser, phantom: Phantom, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Page, Watch]]:
    path = tmp_path_factory.mktemp("browser") / "index.html"
    write_page(path, phantom.document, phantom.volumes, None)
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, offline=True)
    page = context.new_page()
    watch = Watch(page)
    page.goto(path.as_uri())
    page.wait_for_selector(COMPLETE, timeout=60_000)
    assert page.evaluate("document.body.dataset.error") is None
    yield page, watch
    context.close()


@pytest.fixture
def page(opened: tuple[Page, Watch]) -> Page:
    """The opened page in its first state, the pointer beside the planes."""
    shown = opened[0]
    shown.mouse.move(WIDTH - 5, 5)
    shown.evaluate(
        """async () => {
            const look = lookPage
            if (!look.state.outlines) look.act.outlines()
            if (!look.state.smooth) await look.act.smooth()
            look.act.window("Soft tissue")
            look.viewer.fit()
            await look.act.layer("dose")
        }"""
    )
    return shown


def _go_to(page: Page, place_ras_mm: tuple[float, float, float]) -> None:
    page.evaluate("place => lookPage.goTo(place)", list(place_ras_mm))


def _shown(page: Page, name: str) -> float | None:
    text = page.locator(f"#value-{name}").get_attribute("data-value")
    return float(text) if text else None


def _place(page: Page) -> tuple[float, float, float]:
    x, y, z = (float(part) for part in (page.locator("#value-place").get_attribute("data-value") or "").split())
    return (x, y, z)


def _tile(page: Page, name: str) -> dict[str, Any]:
    """Return a plane with its place on the screen, in CSS pixels (the device's ratio is 1)."""
    tile: dict[str, Any] = page.evaluate("name => lookPage.viewer.tiles().find(tile => tile.name === name)", name)
    box = page.locator("#planes").bounding_box()
    assert box is not None
    return tile | {"left": tile["left"] + box["x"], "top": tile["top"] + box["y"]}


def _picture(page: Page, tile: dict[str, Any]) -> NDArray[np.float64]:
    page.wait_for_timeout(150)
    left, top, width, height = (round(tile[name]) for name in ("left", "top", "width", "height"))
    png = page.screenshot(clip={"x": left, "y": top, "width": width, "height": height})
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.float64)


def _layer_mask(picture: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pixels of the layer's colours: red to orange (the CT is grey, letters are pale yellow, the cross is green)."""
    return np.asarray((picture[..., 0] - picture[..., 2] > 90) & (picture[..., 0] - picture[..., 1] > 60))


def test_nothing_leaves_the_page_and_the_console_stays_quiet(opened: tuple[Page, Watch]) -> None:
    page, watch = opened
    _go_to(page, QUIET_RAS_MM)
    assert watch.requests == [page.url]
    assert watch.errors == []


@in_one_order
@pytest.mark.parametrize("name", ["Axial", "Coronal", "Sagittal"])
def test_every_plane_draws_the_ct_and_the_dose(page: Page, name: str) -> None:
    _go_to(page, PLACES_RAS_MM["kidney_left"])
    picture = _picture(page, _tile(page, name))
    grey = (np.ptp(picture, axis=-1) < 12) & (picture.mean(axis=-1) > 90)
    # the body fills most of a plane, the kidney a few per cent; 40 HU in a window of -160 to 240 is mid-grey
    assert grey.mean() > 0.3
    assert 0.005 < _layer_mask(picture).mean() < 0.2


@in_one_order
def test_the_projection_draws(page: Page) -> None:
    box = page.locator("#mip").bounding_box()
    assert box is not None
    picture = _picture(page, {"left": box["x"], "top": box["y"], "width": box["width"], "height": box["height"]})
    assert _layer_mask(picture).mean() > 0.01


def test_convention_is_radiological(page: Page) -> None:
    assert page.evaluate("lookPage.viewer.nv.getRadiologicalConvention()") is True
    # letters at the left, right, top and bottom of each plane
    assert page.evaluate("lookPage.letters") == {
        "Axial": ["R", "L", "A", "P"],
        "Coronal": ["R", "L", "S", "I"],
        "Sagittal": ["A", "P", "S", "I"],
    }
    assert page.evaluate("lookPage.projection.letters") == ["R", "L"]


@pytest.mark.parametrize("name", ["Axial", "Coronal"])
@pytest.mark.parametrize(("mark", "side"), [("kidney_left", 1), ("kidney_right", -1)])
def test_left_is_left(page: Page, name: str, mark: str, side: int) -> None:
    # the left kidney, 62 mm to the patient's left, must be drawn right of the middle, the right one, 43 mm to the
    # other side, left of it. The pixels are the witness, not the letters.
    _go_to(page, PLACES_RAS_MM[mark])
    tile = _tile(page, name)
    picture = _picture(page, tile)
    middle = picture.shape[1] / 2
    half = picture[:, round(middle) :] if side > 0 else picture[:, : round(middle)]
    assert _layer_mask(half).mean() > 0.01
    column = np.flatnonzero(_layer_mask(half).any(axis=0)).mean() + (middle if side > 0 else 0.0)
    mm_per_pixel = float(np.linalg.norm(tile["perX"]))
    expected = middle + side * abs(PLACES_RAS_MM[mark][0]) / mm_per_pixel
    # cropping is symmetric to a few voxels: 3 of 2.4 mm
    assert abs(column - expected) * mm_per_pixel < 7.2


@pytest.mark.parametrize("name", ["Axial", "Coronal", "Sagittal"])
def test_the_bone_mark_lies_where_it_is(page: Page, name: str) -> None:
    # in front, above, on the patient's right: upper left of axial, coronal and sagittal (nose left) pictures
    place = (-BONE_LPS_MM[0], -BONE_LPS_MM[1], BONE_LPS_MM[2])
    page.evaluate("lookPage.act.layer('none')")
    page.evaluate("lookPage.state.outlines && lookPage.act.outlines()")
    page.evaluate("lookPage.act.window('Bone')")
    _go_to(page, place)
    picture = _picture(page, _tile(page, name))
    bright = (picture.min(axis=-1) > 215) & (np.ptp(picture, axis=-1) < 10)
    down, across = np.argwhere(bright).mean(axis=0) / picture.shape[:2]
    assert bright.sum() > 40
    assert across < 0.45
    assert down < 0.45


def test_values_at_the_crosshair_are_those_of_the_arrays(page: Page, phantom: Phantom) -> None:
    # half of the quantisation step the page states; CT exactly
    steps = page.evaluate("Object.fromEntries(Object.entries(lookPage.content.volumes).map(([n, v]) => [n, v.step]))")
    # the marks' centres lie between two voxels: 0.7 mm beside them is inside one
    near = [(x + 0.7, y + 0.7, z + 0.7) for x, y, z in (*PLACES_RAS_MM.values(), QUIET_RAS_MM)]
    for place in (*near, (-43.1, 17.7, -3.3), (80.9, 48.7, 56.9)):
        _go_to(page, place)
        # where the crosshair really is: NiiVue keeps it in float32
        at = _place(page)
        assert at == pytest.approx(place, abs=1e-3)
        for name in ("ct", "dose", "activity-1", "activity-2", "activity-3"):
            found = _shown(page, name)
            tolerance = 0.0 if name == "ct" else 0.5 * steps[name] * (1 + 1e-6)
            assert found is not None
            assert abs(found - phantom.value_at(name, at)) <= tolerance, (name, place)


def test_values_under_the_pointer_and_after_a_click(page: Page, phantom: Phantom) -> None:
    _go_to(page, (-61.7, -23.3, -8.9))
    for name, across, down in (("Axial", 0.7, 0.55), ("Coronal", 0.3, 0.4), ("Sagittal", 0.62, 0.71)):
        tile = _tile(page, name)
        x, y = round(tile["left"] + across * tile["width"]), round(tile["top"] + down * tile["height"])
        page.mouse.move(x, y)
        assert page.locator("#value-place span").inner_text() == "pointer"
        pointed = _place(page)
        dose, ct = _shown(page, "dose"), _shown(page, "ct")
        assert ct == phantom.value_at("ct", pointed)
        assert dose == pytest.approx(phantom.value_at("dose", pointed), abs=2e-4)
        page.mouse.down()
        page.mouse.up()
        page.mouse.move(WIDTH - 5, 5)
        assert page.locator("#value-place span").inner_text() == "crosshair"
        # the crosshair is where the pointer was, to a pixel of the screen
        assert _place(page) == pytest.approx(pointed, abs=float(np.linalg.norm(tile["perX"])) + 1e-3)
        assert _shown(page, "ct") == phantom.value_at("ct", _place(page))


@in_one_order
def test_a_position_outside_the_volumes_has_no_value(page: Page) -> None:
    # a stored edge value must not be shown as if it lay there
    assert page.evaluate("Object.values(lookPage.valuesAt([999, 0, 0]))") == [None] * 6


@pytest.mark.parametrize("key", list(PLACES_RAS_MM))
def test_a_click_on_a_region_goes_to_its_centroid(page: Page, key: str) -> None:
    _go_to(page, QUIET_RAS_MM)
    page.locator(f"#regions tr[data-region='{key}']").click()
    assert _place(page) == pytest.approx(PLACES_RAS_MM[key], abs=1e-3)
    label = {f"{m[0]}_{m[1]}" if m[1] else m[0]: m[5] for m in MARKS}[key]
    assert _shown(page, "region") == label
    assert page.locator("#regions tr.chosen").get_attribute("data-region") == key


@in_one_order
def test_the_slider_changes_the_time_point(page: Page) -> None:
    page.locator("#time").fill("2")
    page.locator("#scale", has_text="Activity at 168.0 h").wait_for()
    assert page.locator("#time-text").inner_text() == "3 of 3: 168.0 h"
    assert page.locator("#unit").inner_text() == "Bq/mL"
    assert page.locator("#layer [aria-checked='true']").inner_text() == "SPECT"
    stored = page.evaluate("lookPage.viewer.over.hdr.scl_slope")
    assert stored == pytest.approx(page.evaluate("lookPage.content.volumes['activity-3'].step"), rel=1e-6)
    page.locator("#time").fill("0")
    page.locator("#scale", has_text=f"Activity at {TIMES_H[0]:.1f} h").wait_for()
    page.locator("#layer [data-value='dose']").click()
    page.locator("#scale", has_text="Absorbed dose").wait_for()
    assert page.locator("#unit").inner_text() == "Gy"


@in_one_order
def test_outlines_can_be_put_away(page: Page) -> None:
    _go_to(page, PLACES_RAS_MM["kidney_right"])
    tile = _tile(page, "Axial")
    shown = _picture(page, tile)
    page.locator("#outlines").click()
    without = _picture(page, tile)
    page.locator("#outlines").click()
    again = _picture(page, tile)
    changed = np.abs(shown - without).max(axis=-1) > 40
    # the border of a cube of 32 mm, a pixel or two wide
    border_mm = 4 * 32.0
    pixels = border_mm / float(np.linalg.norm(tile["perX"]))
    assert 0.7 * pixels < changed.sum() < 6 * pixels
    assert np.array_equal(shown, again)


@in_one_order
def test_a_window_preset_changes_the_ct(page: Page) -> None:
    tile = _tile(page, "Sagittal")
    soft = _picture(page, tile)
    page.locator("#window [data-value='Lung']").click()
    lung = _picture(page, tile)
    assert np.median(lung) > np.median(soft) + 60


@in_one_order
def test_the_smooth_layer_is_for_the_eye_only(page: Page) -> None:
    _go_to(page, PLACES_RAS_MM["lesion-1"])
    before = _shown(page, "dose")
    smooth = _picture(page, _tile(page, "Axial"))
    page.evaluate("lookPage.act.smooth()")
    assert not np.array_equal(smooth, _picture(page, _tile(page, "Axial")))
    assert _shown(page, "dose") == before


def test_a_click_on_the_projection_goes_to_the_hottest_voxel_behind_it(page: Page, phantom: Phantom) -> None:
    place = page.evaluate(
        """() => {
            const { left, top, width, height } = lookPage.projection.frame
            let best = null
            for (let x = left; x < left + width; x += 2) for (let y = top; y < top + height; y += 2) {
                const found = lookPage.projection.pick(x, y)
                const value = found && lookPage.valuesAt(found).dose
                if (!best || value > best.value) best = { value, found }
            }
            return best.found
        }"""
    )
    dose, grid = phantom.array("dose")
    hottest = grid.to_lps_mm(np.unravel_index(int(np.argmax(dose)), dose.shape))
    assert place == pytest.approx([-hottest[0], -hottest[1], hottest[2]], abs=0.01)


@in_one_order
def test_the_panel_says_everything(page: Page, phantom: Phantom) -> None:
    text = page.locator("#panel").inner_text()
    for reason in phantom.document["decision"]["reasons"]:
        assert reason["code"] in text
        assert reason["text"] in text
        assert reason["source"] in text
    for flag in phantom.document["flags"]:
        assert flag["code"] in text
        assert flag["text"] in text
    assert "Protocol: dosimetry-guided (none recorded: the rules' default), primary phase." in text
    assert "9.50 ± 0.90 Gy signed so far" in text
    assert "limit 23 Gy" in text
    # one row, one curve and one histogram for each of the three regions; a bar for kidneys and marrow
    assert page.locator("#regions tbody tr").count() == 3
    assert page.locator("#curves svg").count() == 3
    assert page.locator("#curves .point").count() == 9
    assert page.locator("#dvh g.dvh").count() == 3
    assert page.locator("#sums svg").count() == 2
    assert page.locator("#regions td.failed").inner_text() == "+8.7 %"


@in_one_order
def test_without_webgl_the_panel_still_stands(phantom: Phantom, tmp_path: Path, browser: Browser) -> None:
    write_page(tmp_path / "index.html", phantom.document, phantom.volumes, None)
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    page = context.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto((tmp_path / "index.html").as_uri())
    page.wait_for_selector("body[data-error]", timeout=30_000)
    assert page.locator("#regions tbody tr").count() == 3
    assert "need WebGL 2" in page.locator("#message").inner_text()
    context.close()
