"""Learning tasks, one file per kind: decoder, loss, prediction and metrics.

A module here is found by its name in `heads.<head>.kind`. It offers `Decoder` (a `mtmed.heads._base.Decoder`),
`PRIMARY` (the metric that a summary quotes), `metrics(observations)` and `probabilities(observations)`.
"""
