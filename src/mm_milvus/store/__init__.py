"""Datasets in Milvus: rows and queries go in, stored rows and matches come out.

This is the only package that imports pymilvus.

connection  a connection to one engine, chosen by its URI
address     the URI of a store: the address of a server, or the path of a local file
lifetime    whether a store or client can still be used: not closed, and not after a fork
tls         certificates for https:// addresses
dataset     the two collections of a dataset: create, open, finish, list, describe, drop
info        a dataset with the state of its collections, for every encoder
columns     typed columns of metadata keys: found in a sample of the data; what does not fit
collection  one collection: upsert, look up, delete, scan, search
quiet       keeps what the engines print by themselves off the terminal
rows        one row, and batches of rows
manifest    what a dataset was built with, kept in the properties of its collections
index       the index types
reindex     the index at the end of an ingest: flush, rebuild, wait until it is used
tune        the verb `tune`
tuner       the measured choice of nprobe or ef
read        rows: by id, a random sample, pages of keys, all vectors
rename      a dataset renamed
copy        a dataset copied to another name or store
rebuild     a dataset that is built again while the current one is searched, and the switch
retry       retries while an index is built or a rebuild switches
annotate    metadata that is added to stored items
deprecated  keywords of version 0.1
"""

import os

# gRPC prints its own log on stderr, such as "Other threads are currently calling into gRPC" at a
# fork; what matters to a caller comes as an error. It reads the variable when it is first used.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
