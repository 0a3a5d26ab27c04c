"""Conditions on metadata, from their text to a Milvus expression or a check in memory.

condition   typed conditions, and their checks
parse       the text form of conditions
columns     the typed columns of metadata keys, and when a condition can be checked in one
expression  conditions to a Milvus boolean expression
match       whether metadata meets conditions
stored      which keys and values a sample of the items has
raw         whether a raw Milvus expression stays within its brackets
"""
