"""Whether the store holds what it should: every row, once, under its key, with its vector.

report   the kinds of problems, and the account of a check
store    what the two collections tell by themselves
source   what the data set says should be there
sample   some rows encoded again
verify   the check as a whole, and the mending of what it finds
"""

from mm_milvus.health.report import Kind, Problem, VerifyReport
from mm_milvus.health.verify import VerifyOptions, verify

__all__ = ["Kind", "Problem", "VerifyOptions", "VerifyReport", "verify"]
