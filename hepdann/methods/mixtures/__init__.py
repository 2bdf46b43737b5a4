"""Methods that learn from mixed samples within the target, without labels."""
