"""Evaluation: from a stored dataset and known answers to metrics with confidence intervals.

evaluate     evaluate(): every encoder and direction, through the index and exact
options      options of an evaluation
judgements   files of queries and relevance judgements, as `JudgedQueries`
judged_runs  judged queries search the items: each list alone, and every fusion mode
pairs        known pairs of stored images and captions, as `Task`s
pair_runs    the queries of a task search one list
nearest      exact nearest neighbours
stored       all vectors of a dataset, read from the store
metrics      metrics of rankings, per query
sampling     samples of queries, bootstrap intervals and significance tests
results      runs and their summary
files        an evaluation on disk
compare      compare(): whether two runs differ significantly
"""
