"""Alignments, one file each: which unit of a site's network is which of the global model's, before updates are merged.
A module offers a frozen dataclass `Alignment`."""
