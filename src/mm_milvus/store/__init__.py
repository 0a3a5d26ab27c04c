"""Datasets in Milvus: the only package that imports pymilvus.

connection  one engine, chosen by its URI; its errors as StoreError
tls         certificates for https:// addresses
dataset     the two collections of a dataset: create, open, finish, list, drop
collection  one collection: upsert, lookup, delete, search
rows        one row, and batches of rows
manifest    what a dataset was built with, kept in the properties of its collections
index       the index types
finish      flush, and an index that fits the row count
serve       wait until a server searches the index that it built
tune        the measured choice of nprobe or ef
read        whole rows: by id, a random sample, all vectors
match       one match of a search
rebuild     a dataset that is built again next to the one that is searched, and the switch
retry       retries while an index is built or a rebuild switches
annotate    metadata that is added later
deprecated  keywords of version 0.1
"""
