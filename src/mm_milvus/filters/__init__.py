"""Conditions on metadata: from text, to a Milvus expression, or evaluated in memory.

condition  one typed condition, its text form, and its rendering to a Milvus expression
match      whether metadata meets a condition
"""
