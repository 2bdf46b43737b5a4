"""Methods whose score does not know a nuisance of the MC."""
