"""TTrees and RNTuples: how they are opened, where their bytes lie, and how these become numbers."""
