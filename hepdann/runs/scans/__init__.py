"""A scan: a grid of trainings at several targets, over the same stacks as those of a run."""
