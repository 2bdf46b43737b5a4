"""Images of events: the collaboration's HDF5 files, and ROOT trees of hits."""
