"""Numbers to figures, in the experiments' styles; no statistic is computed here."""
