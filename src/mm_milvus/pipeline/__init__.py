"""The engine that pulls a source's items through stages into a sink, in Arrow record batches.

batch     items between two stages, with what was rejected
accept    record batches of a source to items within the limits of the engines
plan      leaves only the items that changed, and records the keys of all
document  one vector of several fields
stages    decode and encode
prefetch  a stage in a thread of its own, behind a bounded queue
run       the whole path: reading, stages, sink, rejects, progress
report    counts of a run
options   options that every run has
"""
