"""The HDF5 below a tensor file: opening it, laying it out, compressed chunks, checksums."""
