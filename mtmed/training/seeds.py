"""Seeds: every random choice of training derives from (federation.seed, round, site), never from a global state."""

import hashlib

import torch


def generator(*parts: object) -> torch.Generator:
    """A generator seeded by its parts alone, the same on every machine and in any order of the sites."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
