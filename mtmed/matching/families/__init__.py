"""Families of layers, one file each: how their channels move. A module offers `WALKS`, by type of layer, and may offer
`ENCLOSED`: types with units of their own, which can move whatever surrounds the layer."""
