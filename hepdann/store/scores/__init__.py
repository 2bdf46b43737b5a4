"""``scores.h5``: what it holds, both directions, and the way back to the tensor file."""
