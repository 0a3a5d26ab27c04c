"""Query: encode the question, search both collections, fuse, remove duplicates, rank.

hits     what a search returns
fusion   two lists of matches to one ranking, by pure functions
query    a text, an image or both to one unit vector
client   SearchClient and its asynchronous mirror
"""

from mm_milvus.search.client import AsyncSearchClient, SearchClient
from mm_milvus.search.fusion import FUSION_MODES
from mm_milvus.search.hits import Hit, ListScore

__all__ = ["FUSION_MODES", "AsyncSearchClient", "Hit", "ListScore", "SearchClient"]
