"""Encoded items in Parquet: what one machine encodes, another one stores.

header   whose vectors these are: JSON in the schema's metadata
parts    the files of a folder, and their rows; of two rows of an item the later one counts
index    where the latest row of each item is
former   what a folder holds already, so that nothing is encoded twice
writer   part files, each there whole or not at all
vectors  Arrow lists to numpy and back
"""

from mm_milvus.embeddings.former import Former, Known, signature
from mm_milvus.embeddings.header import Header
from mm_milvus.embeddings.parts import Embeddings, Part, open_embeddings
from mm_milvus.embeddings.writer import PartWriter, find_parts, rewrite_part

__all__ = [
    "Embeddings",
    "Former",
    "Header",
    "Known",
    "Part",
    "PartWriter",
    "find_parts",
    "open_embeddings",
    "rewrite_part",
    "signature",
]
