"""What is known of the error of the dose per decay, apart from activity, volume and fit."""

from __future__ import annotations

from typing import Final

# Decay data: electrons per decay agree to 0.5 % between ICRP-107 and DDEP. Kernels of two Monte Carlo codes (EGSnrc
# here, Lanconelli et al., Phys Med Biol 2012;57:517) agree to 0.3 % in the source voxel and 1-3 % in its neighbours.
# Mass from CT: the density of soft tissue is good to about 1 %. Together, rounded up:
S_VALUE_RELATIVE_SIGMA: Final = 0.015

# Red marrow: the published self S value (OLINDA/EXM 2) holds 57 % of the electron energy in the marrow, complete
# absorption would be 1.76 times that; which part escapes into trabecular bone and fat depends on a cellularity that is
# not measured in the patient. Project choice, to be replaced by a published spread.
MARROW_S_RELATIVE_SIGMA: Final = 0.20
