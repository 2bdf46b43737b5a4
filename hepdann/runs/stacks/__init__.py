"""The stacks of a training: which members share one, what they train on, and their shards."""
