"""Makes the bundled `compact` encoder; see docs/reference/compact.md."""
