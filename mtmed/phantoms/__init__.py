"""Synthetic hospitals, written as real ones would hand over: DICOM files, mask files and a manifest.

One modality is one file, found by its name; it says what its exams are and draws them (`Modality`).
"""

from mtmed.phantoms._exam import Drawing, Exam, Lesion, Modality
from mtmed.phantoms._write import diameter, examine, is_synthetic, write

__all__ = ["Drawing", "Exam", "Lesion", "Modality", "diameter", "examine", "is_synthetic", "write"]
