"""Ready configurations, shipped with the package; ``hepdann --config NAME`` finds them."""
