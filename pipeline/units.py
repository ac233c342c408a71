"""The only powers of ten in the code: factors between the units of the world and ours (Bq, s, mm, mL, g, Gy)."""

from __future__ import annotations

from typing import Final

SECONDS_PER_MINUTE: Final = 60.0
SECONDS_PER_HOUR: Final = 3600.0
SECONDS_PER_DAY: Final = 86400.0
MS_PER_SECOND: Final = 1000.0
BQ_PER_MBQ: Final = 1e6
BQ_PER_GBQ: Final = 1e9
MM3_PER_ML: Final = 1000.0
MM_PER_CM: Final = 10.0
G_PER_KG: Final = 1000.0
MGY_PER_GY: Final = 1000.0
PERCENT: Final = 100.0
KEV_PER_MEV: Final = 1000.0
# CODATA 2018, exact by the definition of the ampere: 1 eV = 1.602176634e-19 J.
J_PER_EV: Final = 1.602176634e-19
J_PER_MEV: Final = J_PER_EV * 1e6
# 1 Gy per decay in 1 g from 1 MeV: J / (1e-3 kg).
GY_G_PER_MEV: Final = J_PER_MEV * G_PER_KG
# 1 Gy/(Bq s) = 1e9 mGy/(MBq s).
MGY_PER_MBQ_S_PER_GY_PER_BQ_S: Final = MGY_PER_GY * BQ_PER_MBQ
# 1 mGy/(MBq s) expressed in Gy/(Bq s).
GY_PER_BQ_S_PER_MGY_PER_MBQ_S: Final = 1.0 / MGY_PER_MBQ_S_PER_GY_PER_BQ_S
