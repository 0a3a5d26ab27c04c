"""Checks that the store holds what it should: every row, once, under its key, with its vector.

verify   the verb, and the repair of what it finds
options  its options
report   the kinds of problems, and the report
source   the rows of the source, compared with the store
store    what the two collections show by themselves
sample   some rows encoded again
"""
