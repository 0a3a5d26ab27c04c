"""Evaluation: from a dataset with known answers to metrics with confidence intervals."""
