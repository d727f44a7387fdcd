"""Large images tile by tile, at the resolution in which they were taken (docs/decisions/0018)."""
