"""Strategies, one file each: how the updates of the sites become the next global model.

A module here is found by its name in `federation.strategy`; it offers a frozen dataclass `Strategy` whose
fields are the options that `strategies.<name>` may set.
"""
