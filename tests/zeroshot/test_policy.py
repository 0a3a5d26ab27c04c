"""Policies: their files, and the probabilities of their categories."""

from __future__ import annotations

import numpy as np
import pytest

from mm_milvus.encoders.load import load_encoder
from mm_milvus.errors import OptionError
from mm_milvus.zeroshot.policy import Category, Policy, PolicyJudge, load_policy, parse_policy

KITCHEN = """
threshold = 0.6
safe = ["a cup", "a plate"]
[categories.sharp]
unsafe = ["a knife", "scissors"]
[categories.hot]
threshold = 1
unsafe = ["a flame"]
safe = ["the sun"]
"""


def test_keys_at_the_top_apply_to_all_categories() -> None:
    policy = parse_policy("kitchen", KITCHEN)
    assert policy == Policy(
        "kitchen",
        (
            Category("sharp", ("a knife", "scissors"), ("a cup", "a plate"), 0.6),
            Category("hot", ("a flame",), ("a cup", "a plate", "the sun"), 1.0),
        ),
    )
    assert [category.threshold for category in policy.with_threshold(0.2).categories] == [0.2, 0.2]


def test_the_policy_in_the_package_is_valid() -> None:
    policy = load_policy()
    assert {"nudity", "violence", "weapons"} <= {category.name for category in policy.categories}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("threshold = ", "is no TOML"),
        ("", "no category"),
        ("categories = 1", "no category"),
        ("thresold = 1\n" + KITCHEN, "unknown key thresold"),
        ("[categories.a]\nunsafe = ['b']", "category a: .* safe ones"),
        ("safe = ['b']\n[categories.a]", "category a: it needs unsafe"),
        ("safe = 'b'\n[categories.a]\nunsafe = ['b']", "safe is not a list"),
        ("safe = ['b']\n[categories.a]\nunsafe = ['']", "unsafe is not a list of texts"),
        ("safe = ['b']\n[categories.a]\nunsave = ['c']", "nothing else"),
        ("safe = ['b']\nthreshold = 2\n[categories.a]\nunsafe = ['c']", "from 0 to 1"),
        ("safe = ['b']\nthreshold = true\n[categories.a]\nunsafe = ['c']", "from 0 to 1"),
    ],
)
def test_an_invalid_policy_is_rejected_with_file_and_category(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message) as error:
        parse_policy("mine.toml", text)
    assert "mine.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unreadable_policy_is_rejected_with_its_path(tmp_path) -> None:
    with pytest.raises(OptionError, match=r"none.toml cannot be read: No such file"):
        load_policy(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(OptionError, match=r"bytes.toml cannot be read"):
        load_policy(tmp_path / "bytes.toml")


def test_the_nearest_unsafe_prompt_is_compared_with_the_nearest_safe_one() -> None:
    compact = load_encoder("compact")
    judge = PolicyJudge(compact, parse_policy("kitchen", KITCHEN))
    image = compact.encode_texts(["scissors"])
    unsafe = compact.encode_texts(["a knife", "scissors"])
    safe = compact.encode_texts(["a cup", "a plate"])
    margin = (image @ unsafe.T).max() - (image @ safe.T).max()
    sharp, hot = judge.probabilities(image)[0]
    assert sharp == pytest.approx(1 / (1 + np.exp(-compact.spec.logit_scale * margin)), abs=1e-5)
    assert judge.rows(["a"], image).to_pylist() == [
        {"item_id": "a", "category": "sharp", "probability": sharp, "flagged": True},
        {"item_id": "a", "category": "hot", "probability": hot, "flagged": False},
    ]
