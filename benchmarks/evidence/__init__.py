"""What `python -m benchmarks.claims` is made of: statistics, claims, verdicts, tables, and the page they go to."""
