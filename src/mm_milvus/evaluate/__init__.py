"""How well a data set is searched, and whether one way to search it is better than another."""

from mm_milvus.evaluate.compare import Comparison, Difference, compare
from mm_milvus.evaluate.files import make_folder, write_evaluation
from mm_milvus.evaluate.options import EvaluateOptions
from mm_milvus.evaluate.results import Evaluation, Run
from mm_milvus.evaluate.run import evaluate

__all__ = [
    "Comparison",
    "Difference",
    "EvaluateOptions",
    "Evaluation",
    "Run",
    "compare",
    "evaluate",
    "make_folder",
    "write_evaluation",
]
