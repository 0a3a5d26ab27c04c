"""The faster operators on a CPU give the results of torch's own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from mm_milvus.encoders.torch.cpu import convolution, in_pieces, inference

sizes = st.integers(1, 9)


@settings(deadline=None, max_examples=50)
@given(st.lists(sizes, min_size=0, max_size=3), sizes, sizes, st.booleans(), st.booleans())
def test_a_linear_layer_equals_torchs(shape, inputs, outputs, biased, transposed) -> None:
    torch.manual_seed(0)
    x = torch.randn(*shape, inputs)
    if transposed and x.dim() > 2:
        x = x.transpose(0, 1)
    weight, bias = torch.randn(outputs, inputs), torch.randn(outputs) if biased else None
    expected = functional.linear(x, weight, bias)
    with inference():
        ours = functional.linear(x, weight, bias)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


@settings(deadline=None, max_examples=50)
@given(
    n=st.integers(1, 3),
    groups=st.integers(1, 3),
    inputs=st.integers(1, 3),
    outputs=st.integers(1, 3),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 2),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    relu6=st.booleans(),
)
def test_a_convolution_equals_torchs(
    n, groups, inputs, outputs, kernel, stride, padding, relu6
) -> None:
    torch.manual_seed(0)
    x = 5 * torch.randn(n, inputs * groups, 7, 6)
    weight, bias = (
        torch.randn(outputs * groups, inputs, kernel, kernel),
        torch.randn(outputs * groups),
    )
    options = {"stride": stride, "padding": padding, "groups": groups}
    expected = functional.conv2d(x, weight, bias, **options)
    expected = functional.relu6(expected) if relu6 else expected
    with inference():
        ours = convolution(x, weight, bias, **options, relu6=relu6)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-4)


@settings(deadline=None, max_examples=50)
@given(total=st.integers(1, 40), most=st.integers(1, 9), threads=st.integers(1, 3))
def test_pieces_are_in_order_and_complete(total, most, threads) -> None:
    previous = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        pieces = in_pieces(lambda part: list(range(total))[part], total, most)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(previous)
    assert [number for piece in pieces for number in piece] == list(range(total))
    assert max(map(len, pieces)) <= most
    assert len(pieces) > 1 or min(threads, total) == 1


def test_each_piece_has_one_core_however_many_callers_there_are() -> None:
    previous = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(in_pieces, cores, 12, 2) for _ in range(4)]
            assert {cores for call in calls for cores in call.result()} == {1}
            assert set(pool.map(lambda _: torch.get_num_threads(), range(8))) == {3}
    finally:
        torch.set_num_threads(previous)


def cores(_: slice) -> int:
    return torch.get_num_threads()


def test_gradients_work_outside_of_inference() -> None:
    x = torch.randn(2, 3, 5, 5)
    weight = torch.randn(4, 3, 1, 1, requires_grad=True)
    convolution(x, weight, None, stride=1, padding=(0, 0), groups=1, relu6=True).sum().backward()
    assert weight.grad is not None
    assert torch.isfinite(weight.grad).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes_are_kept(dtype: torch.dtype) -> None:
    x, weight = torch.randn(2, 3, dtype=dtype), torch.randn(4, 3, dtype=dtype)
    with inference():
        assert functional.linear(x, weight).dtype == dtype


def test_empty_input_gives_empty_output() -> None:
    with inference():
        assert functional.linear(torch.empty(0, 3), torch.randn(4, 3)).shape == (0, 4)
