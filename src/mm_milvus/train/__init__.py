"""Training: a space that images and texts share, learned from their pairs."""

from mm_milvus.train.options import TrainOptions
from mm_milvus.train.report import TrainReport
from mm_milvus.train.run import train

__all__ = ["TrainOptions", "TrainReport", "train"]
