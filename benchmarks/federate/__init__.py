"""Claim 2: strategies of the federation against each other, run by run."""
