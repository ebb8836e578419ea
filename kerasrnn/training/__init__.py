"""One update, and what surrounds it."""
