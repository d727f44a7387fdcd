"""Still images of B-mode ultrasound."""

DICOM = ("US",)
VIEWS = ("RADIAL", "ANTIRADIAL", "TRANSVERSE", "SAGITTAL")
