"""A model and events: scores."""
