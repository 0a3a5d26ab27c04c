"""Embedding health: what a dataset's vectors look like, and where they look wrong."""
