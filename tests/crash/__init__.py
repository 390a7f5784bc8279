"""Shows with kill -9 at every step that nothing is lost, doubled, reordered or leaked: `make crash`."""
