"""Datasets as Arrow record batches: folders, tables and tar shards, on any fsspec filesystem.

open        opens a source by its path or URI
options     options of every source
base        the protocol of a source, and drafts of items to record batches
files       local files and fsspec filesystems
folder      a folder of images, with captions in sidecar files or a table
table       CSV, TSV, JSONL, Parquet and Arrow IPC
records     rows of a table as a stream
csvrows     rows of a CSV file
rows        one row of a table
sidecar     captions in a file next to the image
webdataset  tar shards
"""
