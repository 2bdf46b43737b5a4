"""One function a figure: numbers to axes."""
