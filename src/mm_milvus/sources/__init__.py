"""Datasets as Arrow record batches: folders, tables and tar shards, on any fsspec filesystem.

open         open a dataset by its path or URI
options      how to read a dataset
base         the protocol of a source, and items to record batches
folder       a folder of images, with captions in sidecar files or in a table
table        a table of images and captions
roles        which column of a table is what
entries      rows of a table to items
gather       the rows of one image to one entry
near_paths   files whose paths are spelled in another way
parts        folders of parts of a table or of tar shards
walk         all folders below a folder
records      rows of Parquet and Arrow IPC files
csv_records  rows of CSV files
json_records rows of JSON and JSONL files
encodings    how the bytes of a text are decoded
sidecar      captions in a file next to the image
webdataset   tar shards
samples      files of a tar shard to items
opened       a source together with the options that it was opened with
suffixes     the names and suffixes of files
"""

from mm_milvus.old_names import old_names

__getattr__ = old_names(
    __name__,
    {
        "open_source": "mm_milvus.sources.open",
        "read_image": "mm_milvus.files",
        "SourceOptions": "mm_milvus.sources.options",
    },
)
