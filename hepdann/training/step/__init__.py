"""What a step changes and how it is executed: networks, flat buffers, optimisers, engines."""
