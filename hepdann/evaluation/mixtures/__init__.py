"""Mixed samples within the target: what their figures are, and the search for a bump."""
