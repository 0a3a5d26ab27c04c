"""Conditions on metadata, from their text to a Milvus expression or a check in memory.

condition   one typed condition, and its checks
parse       the text form of a condition
columns     the typed columns of metadata keys, and when a condition can be checked in one
expression  conditions to a Milvus boolean expression
match       whether metadata meets a condition
"""
