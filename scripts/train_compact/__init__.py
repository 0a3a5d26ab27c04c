"""Makes the bundled `compact` encoder; see docs/compact.md."""
