"""Queries to hits: encode, search both collections, fuse, remove duplicates, rerank.

client        SearchClient
async_client  AsyncSearchClient
query         the parts of a query, composed to one unit vector
options       options of a search
space         one encoder and its two lists
lists         one collection as a list of scores
candidates    the union of all lists, each item scored in every one
fusion        the scores of several lists to one, by pure functions
dedup         hits that show the same
rerank        stages after the fusion
ranking       candidates to hits
hits          hits and explanations
timing        durations of the stages
"""
