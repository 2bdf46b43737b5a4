"""The command line of hepdann; installed as ``hepdann_cli``."""
