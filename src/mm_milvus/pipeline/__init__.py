"""Ingest: a data set flows, in batches, from its source into the store.

flow       what travels: items with what is still to be encoded, and what was turned away
prefetch   a stage in a thread of its own, behind a bounded queue
stages     read, plan, decode, encode: each an iterator over flows
prune      what the store holds and the data set no longer has
ingest     the loop that shows it all
"""

from mm_milvus.pipeline.ingest import ingest
from mm_milvus.pipeline.options import IngestOptions
from mm_milvus.pipeline.report import IngestReport

__all__ = ["IngestOptions", "IngestReport", "ingest"]
