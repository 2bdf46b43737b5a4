"""``metrics.json``: the figures of a run, method by method."""
