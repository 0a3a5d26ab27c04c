"""Search: from a query (texts, images, stored items) to hits, best first.

client        SearchClient: encode a query, search every list, fuse, merge duplicates, rerank
async_client  AsyncSearchClient: the same for asyncio
query         the parts of a query, and their composition to one unit vector
options       options of a search
space         one encoder and the two lists of its vectors
lists         one collection as a list of scored items
candidates    the union of what all lists found, each item scored in every list
fusion        pure functions from the scores of several lists to one score
ranking       from candidates to hits
dedup         merge hits that show the same image
rerank        stages that run after the fusion
hits          hits, explanations and timings: what a search returns
"""

from mm_milvus.old_names import old_names

__getattr__ = old_names(
    __name__,
    {
        "AsyncSearchClient": "mm_milvus.search.async_client",
        "Query": "mm_milvus.search.query",
        "SearchClient": "mm_milvus.search.client",
        "SearchOptions": "mm_milvus.search.options",
        "parse_rerank": "mm_milvus.search.rerank",
    },
)
