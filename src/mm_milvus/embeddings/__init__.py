"""Encoded items in Parquet: `encode` writes on one machine what `ingest` stores from another.

encode    the verb: a source into a folder of Parquet parts
options   options and report of the verb
header    the encoder of a file's vectors: JSON in the metadata of its schema
parts     the files of a folder, and the latest row of each item
writer    part files, complete or not at all
previous  what a folder holds already, so that nothing is encoded twice
compare   leaves only the items that a folder does not hold
prune     deletes what is no longer in the source
accept    record batches of encoded items to items
arrow     Arrow lists to numpy vectors and back
"""
