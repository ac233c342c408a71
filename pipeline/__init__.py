"""Image-based dosimetry for 177Lu-DOTATATE therapy: from DICOM studies to a signed decision."""
