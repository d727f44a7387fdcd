"""Servers' optimisers, one file each: what the global model does with the merged move. A module offers `Server`."""
