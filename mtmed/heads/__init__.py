"""Learning tasks, one file per kind: decoder, loss, prediction and metrics.

A module here is found by its name in `heads.<head>.kind`. It offers `Decoder` (a `mtmed.heads._base.Decoder`), `FORM`
(what its predictions are: the field of `mtmed.inference.Finding` that they fill), `METRICS` (a
`mtmed.heads._metric.Metric` for each of its metrics), `PRIMARY` (the one that a summary quotes),
`metrics(observations)` and `probabilities(observations)`.
"""
