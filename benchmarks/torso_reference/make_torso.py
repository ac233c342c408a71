"""The Monte Carlo behind ``pipeline/data/commissioning/torso.toml``: build it, check it in the slabs, run the torso.

    python benchmarks/torso_reference/make_torso.py COEFFICIENTS.npz [--decays 1e7] [--batches 4] [--slabs]

``COEFFICIENTS.npz`` holds photon cross-sections (xraylib 4.3: arrays ``names``, ``E_keV``, and in cm2/g ``photo`` and
``compton``, shape (materials, energies)); they are not part of the product. Needs a C compiler. Prints the mean dose
per decay of each organ, electrons and photons apart, beside that of the table; with ``--slabs`` beside EGSnrc in slabs.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files.commissioning_data import load_golden_tables
from pipeline.files.nuclide_tables import load_point_kernel
from pipeline.physics.commissioning.bench import box_mask
from pipeline.physics.commissioning.torso import labels_of

HERE = Path(__file__).parent
MATERIALS = ("Water, Liquid", "Lung (ICRP)", "Bone, Cortical (ICRP)", "Schneider 300..400 MB03")
WATER, LUNG, CORTICAL, VERTEBRA = range(4)
KEV = np.linspace(10.0, 400.0, 4000)
# ICRP-107: gamma lines (scaled to 31.56 keV per decay) and K X rays; the rest of 3.54 keV are L X rays of 7.9 keV.
GAMMAS = (
    (208.3662, 0.110), (112.9498, 0.0640), (321.316, 0.00216), (249.674, 0.00212), (71.642, 0.00176),
    (136.725, 0.00048),
)  # fmt: skip
K_X_RAYS = ((55.790, 0.0280), (54.611, 0.0159), (63.2, 0.0117))
GAMMA_KEV, X_KEV, L_X_RAY_KEV, ELECTRON_KEV = 31.56, 3.54, 7.9, 147.98
JOULE_PER_KEV = 1.602176634e-16


def emitted() -> list[tuple[float, float]]:
    """Return (keV, photons per decay)."""
    scale = GAMMA_KEV / sum(e * i for e, i in GAMMAS)
    rest = X_KEV - sum(e * i for e, i in K_X_RAYS)
    return [*((e, i * scale) for e, i in GAMMAS), *K_X_RAYS, (L_X_RAY_KEV, rest / L_X_RAY_KEV)]


def write_tables(path: Path, coefficients: Path) -> None:
    """Write lines, electron shells and cross-sections for the program."""
    kernel = load_point_kernel("Lu-177")
    cumulated = np.cumsum(kernel.electron_mev_per_shell) / kernel.electron_mev
    with np.load(coefficients) as data:
        names, logs = list(data["names"]), np.log(data["E_keV"])
        rows = [_on_energies(logs, (data["photo"][k], data["compton"][k])) for k in map(names.index, MATERIALS)]
    parts = [f"{len(emitted())}", *(f"{e} {i}" for e, i in emitted()), f"{cumulated.size}"]
    parts += [" ".join(map(repr, kernel.edges_mm.tolist())), " ".join(map(repr, cumulated.tolist()))]
    parts += [f"{p!r} {c!r}" for row in rows for p, c in row.T.tolist()]
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _on_energies(logs: Any, values: tuple[Any, Any]) -> Any:
    return np.exp([np.interp(np.log(KEV), logs, np.log(np.maximum(part, 1e-12))) for part in values])


class Program:
    """The compiled program in a folder of its own."""

    def __init__(self, folder: Path, coefficients: Path) -> None:
        self.folder = folder
        subprocess.run(["cc", "-O3", "-o", folder / "deposit", HERE / "deposit.c", "-lm"], check=True)
        write_tables(folder / "tables.txt", coefficients)

    def doses(
        self, density: Any, material: Any, source: Any, side_mm: float, decays: int, seed: int
    ) -> tuple[Any, Any]:
        """Return (electron, photon) dose per decay in Gy."""
        side_cm = side_mm / 10.0
        cumulated = np.cumsum(source.ravel() / source.sum())
        cumulated[-1] = 1.0
        head = np.array([*density.shape, len(MATERIALS)], np.int32).tobytes() + np.float64(side_cm).tobytes()
        arrays = density.astype(np.float32).tobytes() + material.astype(np.uint8).tobytes() + cumulated.tobytes()
        (self.folder / "phantom").write_bytes(head + arrays)
        names = [self.folder / name for name in ("deposit", "phantom", "tables.txt")]
        subprocess.run([*names, str(seed), str(decays), self.folder / "out"], check=True)
        counts = np.fromfile(self.folder / "out").reshape(2, *density.shape)
        mass_kg = np.maximum(density, 1e-6) * side_cm**3 / 1000.0
        scale = np.where(density > 0, JOULE_PER_KEV / mass_kg / decays, 0.0)
        return counts[0] * ELECTRON_KEV * scale, counts[1] * scale


def show(name: str, where: Any, density: Any, doses: tuple[Any, Any], entry: dict[str, Any]) -> None:
    """Print the electron and photon dose of a region beside the table's."""
    electrons, photons = (np.average(part[where], weights=density[where]) for part in doses)
    known = entry["electron_gy_per_decay"], entry["photon_gy_per_decay"]
    total = (electrons + photons) / sum(known)
    ratios = f"electrons {electrons / max(known[0], 1e-30):.3f}  photons {photons / known[1]:.3f}  total {total:.4f}"
    print(f"{name:58}{electrons:12.4e} {photons:12.4e}   / table: {ratios}  (photons {known[1] / sum(known):.1%})")


def slabs(program: Program, decays: int) -> None:
    """Print the program's doses beside EGSnrc's."""
    table = load_golden_tables()["slabs"]
    density = np.zeros(tuple(table["shape"]))
    for begin, end, value in table["layers"]:
        density[begin:end] = value
    material = np.select([density < 0.5, density > 1.2], [LUNG, CORTICAL], WATER)
    for seed, source in enumerate(table["sources"], start=1):
        block = box_mask(density.shape, source["box"])
        doses = program.doses(density, material, block.astype(float), table["spacing_mm"][0], decays, seed)
        for region in source["regions"]:
            where = box_mask(density.shape, *region["boxes"])
            where = where if region["boxes"] == [source["box"]] else where & ~block
            show(f"{source['name']}, {region['name']}", where, density, doses, region)


def torso(program: Program, decays: int, batches: int) -> None:
    """Print the torso's doses beside the table's."""
    table = load_golden_tables()["torso"]
    labels, organs = labels_of(table), [table["body"], *table["organs"]]
    density = np.array([0.0, *(organ["density_g_per_cm3"] for organ in organs)])[labels]
    kinds = [LUNG if "lung" in o["name"] else VERTEBRA if o["name"] == "spine" else WATER for o in organs]
    material = np.array([WATER, *kinds])[labels]
    for source in table["sources"]:
        decay_map = np.array([0.0, *source["concentration"]])[labels]
        runs = [
            program.doses(density, material, decay_map, table["spacing_mm"], decays, 100 + b) for b in range(batches)
        ]
        doses = (np.mean([run[0] for run in runs], axis=0), np.mean([run[1] for run in runs], axis=0))
        for label, organ in enumerate(organs, start=1):
            entry = source["means"][organ["name"].replace(" ", "_")]
            show(f"{source['name']}, {organ['name']}", labels == label, density, doses, entry)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("coefficients", type=Path)
    parser.add_argument("--decays", type=float, default=1e7)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--slabs", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = Program(Path(folder), given.coefficients)
        if given.slabs:
            slabs(program, int(given.decays))
        else:
            torso(program, int(given.decays), given.batches)


if __name__ == "__main__":
    main()
