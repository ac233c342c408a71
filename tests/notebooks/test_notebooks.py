"""The notebooks of the documentation run from top to bottom and give what they say; they are kept without outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from scipy.optimize import brentq

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.fixture
def own_jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the kernel's files away from the user's own, and let it find the packages of this tree."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def _run(path: Path, folder: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute()


def _printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_there_is_a_notebook_and_none_is_kept_with_outputs() -> None:
    assert [path.name for path in NOTEBOOKS] == ["fit_curves.ipynb"]
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        assert [c for c in cells if c.cell_type == "code" and (c.outputs or c.execution_count)] == []


@pytest.mark.slow
@pytest.mark.usefixtures("own_jupyter")
def test_fitting_in_three_lines(tmp_path: Path) -> None:
    """Half-life and TIA from the normal equation of relative errors, to the printed digits; a picture at the end."""
    done = _run(ROOT / "docs" / "notebooks" / "fit_curves.ipynb", tmp_path)
    text = _printed(done)
    found = re.search(r"half-life ([\d.]+) h, TIA ([\d.e+]+) Bq s", text)
    assert found is not None
    time_h, activity = np.array([24.0, 96.0, 168.0]), np.array([73e6, 26e6, 10.5e6])
    rate = brentq(lambda k: np.sum((time_h - 96.0) * activity * np.exp(k * time_h)), 1e-3, 0.1)
    assert float(found[1]) == pytest.approx(np.log(2.0) / rate, abs=0.05)
    tia = np.mean(activity * np.exp(rate * time_h)) / rate * 3600.0
    assert float(found[2]) == pytest.approx(tia, rel=1e-4)
    assert text.count("extrapolated") == 3
    assert "kidney left mono" in text
    last = done.cells[-1].outputs[-1]
    assert "image/png" in last["data"]
