"""Conditions on metadata, from their text to a Milvus expression or a check in memory.

condition   one typed condition, and its checks
parse       the text form of a condition
expression  conditions to a Milvus boolean expression
match       whether metadata meets a condition
"""
