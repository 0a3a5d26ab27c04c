"""Search: from a query (texts, images, stored items) to hits, best first.

client        SearchClient: encode a query, search every list, fuse, rerank, cut to a page
async_client  AsyncSearchClient: the same for asyncio
query         the parts of a query, and their composition to one unit vector
options       options of a search
inputs        arguments as callers write them: one or several values, numbers and texts
columns       the typed columns that a filter can use
items         which items get, count, items, delete and export are about
space         one encoder and the two lists of its vectors
lists         one collection as a list of scored items
candidates    the union of what all lists found, each item scored in every list
fusion        pure functions from the scores of several lists to one score
fused         the fused ranking of a query, read deeper step by step
dedup         which images of a ranking show the same as a better one
ranking       from a fused ranking to the hits of a page
details       what is shown of a hit: metadata, captions
rerank        stages that run after the fusion
cursor        where the next page begins, as an opaque text
current       the dataset of an open client at this moment
where         filters, as an expression
hits          hits, pages, explanations and timings: what a search returns
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
