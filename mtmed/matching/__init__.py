"""Which units of a network can change places, and which unit of one network is which of another.

`symmetries` finds the groups of units of a `MultiTask` network; `align` lets the units of several networks of the same
architecture take the places of a reference's. docs/decisions/0030 says what is covered.
"""
