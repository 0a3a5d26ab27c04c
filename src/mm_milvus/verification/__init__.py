"""Check that the store holds what it should: every row once, under its key, with its vector.

verify   the verb, and the repair of the problems
options  its options
report   the kinds of problems, and the report
source   the rows of the source, compared with the store
scan     the rows of the store, compared with each other and with the source
sample   some rows encoded again
"""
