"""Ranges of entries to checked rows of the tensor file, on any number of threads."""
