"""Inspection: a stored dataset's vectors to numbers about how images and captions lie.

inspect     the verb: a sample, its groups and its report
sample      images of a stored dataset with their captions
report      the numbers of a sample
geometry    gap, spread, silhouettes and axes of sets of unit vectors
neighbours  near duplicates and outliers
clusters    spherical k-means
"""
