"""DICOM in and out; pydicom is spoken only here, and each vendor's quirk is one function."""
