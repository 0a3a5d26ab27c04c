"""Encode and ingest: a data set flows, in batches, from its source to where its vectors are kept.

flow       what travels: items with what is still to be encoded, and what was turned away
accept     record batches to flows, checked against the limits of the store
plan       what is there already, and what is left to do
stages     read, decode, encode: each an iterator over flows
prefetch   a stage in a thread of its own, behind a bounded queue
run        the loop that pulls flows through the stages
prune      what is there and the data set no longer has
encode     a data set into Parquet
ingest     a data set, or such Parquet, into the store
"""

from mm_milvus.pipeline.encode import encode
from mm_milvus.pipeline.ingest import ingest
from mm_milvus.pipeline.options import EncodeOptions, IngestOptions
from mm_milvus.pipeline.report import EncodeReport, IngestReport

__all__ = ["EncodeOptions", "EncodeReport", "IngestOptions", "IngestReport", "encode", "ingest"]
