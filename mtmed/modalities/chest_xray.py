"""Projection radiographs of the chest."""

DICOM = ("CR", "DX")
VIEWS = ("PA", "AP", "LL", "LATERAL", "AP SUPINE", "AP ERECT")
