"""Corrections, one file each: what a site adds to its gradients so that it does not drift away. A module offers
`Correction`."""
