"""The folder of a run and of a scan: names, versions and types of its files, both directions."""
