"""How the updates of the sites become the next global model: an order, an alignment, a merge, a
server's step, and what sites keep.

A strategy (mtmed/aggregation/strategy.py) is a named combination of them. Each is a file in orders/, alignments/,
merges/, servers/ or personal/; what they have in common starts with _ there.
"""
