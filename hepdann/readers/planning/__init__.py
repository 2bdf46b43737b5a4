"""What a conversion does, decided before an event is read."""
