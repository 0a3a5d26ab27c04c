"""Read, count, delete and export the items of a stored dataset, without an encoder.

item     one stored item
read     whole items by their ids, with or without their vectors
pages    the ids of the items that meet an expression, in the order of their keys
columns  columns of a table of items: fields, and keys of the metadata
table    items as Arrow record batches, and as a table of pandas or polars
count    the number of items that meet an expression
delete   items deleted from the collections of every encoder
export   items written to a Parquet, JSON lines or CSV file
"""
