"""Merges, one file each: where the sites' updates pull the global model. A module offers a frozen dataclass `Merge`."""
