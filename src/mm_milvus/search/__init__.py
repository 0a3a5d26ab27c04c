"""Query: encode the question, search both collections, fuse, remove duplicates, rank.

query         what is asked, composed to one unit vector
lists         a collection as a list of scores: searched, completed, compared with its background
space         an encoder and its two lists
candidates    the union of all lists, each item scored in every one
fusion        the scores of several lists to one, by pure functions
dedup         hits that show the same
rerank        stages after the fusion
ranking       from candidates to hits
client        SearchClient; asynchronous: its mirror
"""

from mm_milvus.search.asynchronous import AsyncSearchClient
from mm_milvus.search.client import SearchClient
from mm_milvus.search.dedup import DEDUP_MODES
from mm_milvus.search.fusion import DEFAULT_FUSION, FUSION_MODES
from mm_milvus.search.hits import Explanation, Hit, ListScore
from mm_milvus.search.options import SearchOptions
from mm_milvus.search.query import Query
from mm_milvus.search.rerank import parse_rerank

__all__ = [
    "DEDUP_MODES",
    "DEFAULT_FUSION",
    "FUSION_MODES",
    "AsyncSearchClient",
    "Explanation",
    "Hit",
    "ListScore",
    "Query",
    "SearchClient",
    "SearchOptions",
    "parse_rerank",
]
