"""From counts to activity: calibration, dead time, recovery, and the phantoms that measure them."""
