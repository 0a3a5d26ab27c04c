"""Where vectors live: the only package that imports pymilvus.

connection   one engine, told apart by its URI alone; its errors in our words
tls          certificates for https:// addresses
manifest     what a data set was built with, kept in the collections' properties
rows         what a row is; limits checked by us, so that every engine behaves alike
index        the index types
patience     reads that wait while an index is made
match        what a search finds
collection   one collection: upsert, lookup, delete, search
read         whole rows out of a collection: by id, a fair sample, all vectors
finish       flush, and an index that fits the row count
serve        waiting until a server searches the index that it built
tune         the measured choice of nprobe or ef
generations  a data set built anew beside the one that is searched, and the switch
annotate     facts found later, into the metadata
dataset      the two collections of a data set: create, open, finish, list, drop
"""

from mm_milvus.store.annotate import annotate
from mm_milvus.store.collection import MAX_LIMIT, Collection
from mm_milvus.store.connection import Connection, is_missing_file, public_uri, require_file
from mm_milvus.store.dataset import (
    Dataset,
    beside,
    create_dataset,
    drop_dataset,
    find_dataset,
    find_indexes,
    list_datasets,
    open_dataset,
    open_indexes,
    publish,
    rebuild_dataset,
)
from mm_milvus.store.index import INDEX_TYPES
from mm_milvus.store.manifest import Manifest
from mm_milvus.store.match import Match
from mm_milvus.store.read import (
    by_number,
    sample,
    sample_embeddings,
    scan_embeddings,
    stored_captions,
    stored_rows,
)
from mm_milvus.store.rows import COLUMN_TYPES, Row
from mm_milvus.store.tune import Point, Recall, Tuner, Tuning

__all__ = [
    "COLUMN_TYPES",
    "INDEX_TYPES",
    "MAX_LIMIT",
    "Collection",
    "Connection",
    "Dataset",
    "Manifest",
    "Match",
    "Point",
    "Recall",
    "Row",
    "Tuner",
    "Tuning",
    "annotate",
    "beside",
    "by_number",
    "create_dataset",
    "drop_dataset",
    "find_dataset",
    "find_indexes",
    "is_missing_file",
    "list_datasets",
    "open_dataset",
    "open_indexes",
    "public_uri",
    "publish",
    "rebuild_dataset",
    "require_file",
    "sample",
    "sample_embeddings",
    "scan_embeddings",
    "stored_captions",
    "stored_rows",
]
