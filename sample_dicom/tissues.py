"""Densities of the phantoms' tissues and the HU they have on the phantom clinic's CT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sample_dicom.scene import Tissue

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Schneider et al., Phys Med Biol 2000;45:459 (120 kVp), branches -1000..-98, -98..14, 14..23 and above 100, joined
# linearly so that density never falls; written into site.toml as it stands.
DENSITY_CURVE: Final = (
    (-1000.0, 0.00121),
    (-98.0, 0.93),
    (0.0, 1.018),
    (23.0, 1.03),
    (100.0, 1.076),
    (1600.0, 1.964),
    (3000.0, 2.8),
)
AIR_HU: Final = -1000


def density_of_hu(hu: ArrayLike) -> NDArray[np.float64]:
    """Density (g/cm3) of HU on the site's curve."""
    nodes = np.asarray(DENSITY_CURVE)
    return np.asarray(np.interp(np.asarray(hu, dtype=np.float64), nodes[:, 0], nodes[:, 1]))


def hu_of_density(density_g_per_cm3: ArrayLike) -> NDArray[np.float64]:
    """HU of a density (g/cm3): the inverse of the site's curve."""
    nodes = np.asarray(DENSITY_CURVE)
    return np.asarray(np.interp(np.asarray(density_g_per_cm3, dtype=np.float64), nodes[:, 1], nodes[:, 0]))


def tissue(name: str, reference_g_per_cm3: float) -> Tissue:
    """Return a tissue whose density is the nearest one that an integer HU stores exactly (0.1 % or less away)."""
    stored = float(density_of_hu(np.rint(hu_of_density(reference_g_per_cm3))))
    return Tissue(name, stored)


# g/cm3. ICRU Report 46 (1992) unless said otherwise.
SOFT: Final = tissue("soft tissue", 1.05)  # skeletal muscle
ADIPOSE: Final = tissue("adipose tissue", 0.95)
LUNG: Final = tissue("lung", 0.26)  # inflated, with blood
LIVER: Final = tissue("liver", 1.06)
SPLEEN: Final = tissue("spleen", 1.06)
KIDNEY: Final = tissue("kidney", 1.05)
URINE: Final = tissue("renal pelvis", 1.02)
BLOOD: Final = tissue("blood", 1.06)
GUT: Final = tissue("gastrointestinal tract", 1.03)
CORTICAL_BONE: Final = tissue("cortical bone", 1.60)  # 1.92 is the solid; thin shells hold marrow and soft tissue
# Trabecular bone of an elderly patient, about 73 HU (Schreiber et al., J Bone Joint Surg Am 2011;93:1057 found
# 78 to 133 HU); equal to blood, so that a concentration per mL and per g is the same in both.
TRABECULAR_BONE: Final = tissue("trabecular bone with marrow", 1.06)
TUMOUR: Final = tissue("tumour", 1.04)
WATER: Final = tissue("water", 1.0)
PLASTIC: Final = tissue("acrylic", 1.19)  # PMMA
