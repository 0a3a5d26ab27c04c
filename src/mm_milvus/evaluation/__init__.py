"""Retrieval quality of a dataset: metrics with confidence intervals, and comparisons of two runs."""
