"""Zero-shot judgement: images against texts, without training.

prompts     labels to one vector each, through templates
labels      which label an image has, and how probable each one is
policy      what is unsafe, as prompts in a TOML file
moderation  which categories of a policy an image falls into
"""

from mm_milvus.zeroshot.labels import LabelJudge
from mm_milvus.zeroshot.moderation import PolicyJudge
from mm_milvus.zeroshot.policy import Category, Policy, load_policy
from mm_milvus.zeroshot.prompts import TEMPLATES

__all__ = ["TEMPLATES", "Category", "LabelJudge", "Policy", "PolicyJudge", "load_policy"]
