"""Primary keys: stable, 32 hex digits, and different for any two rows."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mm_milvus.keys import caption_key, content_hash, image_key

ids = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


@given(ids, st.integers(0, 10**6))
def test_keys_are_32_hex_digits_and_stable(item_id, number):
    for key in (image_key(item_id), caption_key(item_id, number), content_hash(item_id)):
        assert re.fullmatch(r"[0-9a-f]{32}", key)
    assert image_key(item_id) == image_key(item_id)
    assert caption_key(item_id, number) == caption_key(item_id, number)


@given(st.sets(st.tuples(ids, st.integers(0, 50)), max_size=30))
def test_no_two_captions_share_a_key(captions):
    keys = {caption_key(item_id, number) for item_id, number in captions}
    keys |= {image_key(item_id) for item_id, _ in captions}
    assert len(keys) == len(captions) + len({item_id for item_id, _ in captions})


def test_the_keys_of_a_stored_dataset_never_change():
    assert image_key("shoes/1.jpg") == "174eff1da87bd2897d321a1861770039"
    assert caption_key("shoes/1.jpg", 0) == "5de155a323181e7fef4f91b82712141f"


def test_text_and_its_bytes_hash_alike():
    assert content_hash("été") == content_hash("été".encode())
