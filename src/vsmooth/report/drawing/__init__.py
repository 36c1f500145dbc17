"""The style of figures, and saving them."""
