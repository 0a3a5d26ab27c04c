"""Bring a dataset, or embeddings that were made elsewhere, into the store.

ingest   the verb: its stages and its sink
options  its options
target   the collections that it writes to: found or created, and of the same encoder
compare  leaves only the rows that the store does not hold
prune    deletes stored rows that are no longer in the source
"""
