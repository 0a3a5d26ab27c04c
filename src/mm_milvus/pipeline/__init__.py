"""Encode, ingest, judge: a data set flows, in batches, from its source to what is kept of it.

flow       what travels: items with what is still to be encoded, and what was turned away
accept     record batches to flows, checked against the limits of the store
plan       what is there already, and what is left to do
stages     read, decode, encode: each an iterator over flows
prefetch   a stage in a thread of its own, behind a bounded queue
run        the loop that pulls flows through the stages
prune      what is there and the data set no longer has
encode     a data set into Parquet
judge      a data set against texts: labels, or a policy
findings   what a judge found, into a file, and into the metadata of the store
ingest     a data set, or such Parquet, into the store
"""

from mm_milvus.pipeline.encode import encode
from mm_milvus.pipeline.ingest import ingest
from mm_milvus.pipeline.judge import classify, moderate
from mm_milvus.pipeline.options import EncodeOptions, IngestOptions, RunOptions
from mm_milvus.pipeline.report import (
    ClassifyReport,
    EncodeReport,
    IngestReport,
    ModerateReport,
)

__all__ = [
    "ClassifyReport",
    "EncodeOptions",
    "EncodeReport",
    "IngestOptions",
    "IngestReport",
    "ModerateReport",
    "RunOptions",
    "classify",
    "encode",
    "ingest",
    "moderate",
]
