"""The comparison behind claim 1: one multi-task transformer and what it is said to beat, on equal data and time."""
