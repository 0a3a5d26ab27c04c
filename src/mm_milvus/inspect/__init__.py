"""Embedding health: what the vectors of a data set look like, and where they look wrong.

geometry    modality gap, similarity, dimensions, silhouettes, principal axes: pure functions
neighbours  near duplicates and outliers: pure functions
clusters    k-means: pure functions
sample      what is inspected, read from the store
report      all numbers of a sample
pictures    the map, the similarity matrix and the captions, written to a folder
"""

from mm_milvus.inspect.pictures import check_drawing, write_pictures
from mm_milvus.inspect.report import HealthReport, examine, group
from mm_milvus.inspect.sample import Sample, read_sample

__all__ = [
    "HealthReport",
    "Sample",
    "check_drawing",
    "examine",
    "group",
    "read_sample",
    "write_pictures",
]
