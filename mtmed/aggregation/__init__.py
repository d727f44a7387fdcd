"""How the updates of the sites become the next global model: a merge, then a server's step.

A strategy (mtmed/aggregation/strategy.py) is a named combination of them. Each merge is a file in merges/, each
server's optimiser one in servers/; what they have in common starts with _ there.
"""
