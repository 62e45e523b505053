"""Study 2's networks: ResNet18, ResNet50 and a small plain CNN, from spins to three numbers.

Residual networks after He et al. (2016), doi:10.1109/CVPR.2016.90: a stem that reduces the picture
four times, four stages of blocks that add to what they are given, the mean over the picture, and a
linear head without a bound. Convolutions pad with zeros although the simulated films are periodic:
the pictures that a trained network is for are crops of a sample, which continue nowhere, and
circular padding would show it seams that no training picture had. As the picture is averaged at the
end, any size from 32×32 sites will do.

`width` is the number of channels of the first stage, 64 in the published networks. Half of it takes
a quarter of the time and of the memory and is what the laptop profile trains.
"""

from collections.abc import Callable

import torch
from torch import nn


class Basic(nn.Module):
    """Two 3×3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(channels, width, 3, stride), nn.ReLU(), *_convolution(width, width, 3)
        )
        self.shortcut = _shortcut(channels, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class Bottleneck(nn.Module):
    """A 3×3 convolution between two 1×1 that narrow and widen, beside a shortcut."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(*_convolution(channels, width, 1), nn.ReLU()),
            *(*_convolution(width, width, 3, stride), nn.ReLU()),
            *_convolution(width, self.expansion * width, 1),
        )
        self.shortcut = _shortcut(channels, self.expansion * width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    """Pictures (batch, 3, height, width) to estimates (batch, 3)."""

    def __init__(
        self,
        block: type[Basic] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        width: int = 64,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *_convolution(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)
        )
        blocks, channels = [], width
        for stage, depth in enumerate(depths):
            for number in range(depth):
                stride = 2 if stage > 0 and number == 0 else 1
                blocks.append(block(channels, width * 2**stage, stride))
                channels = block.expansion * width * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, 3)
        _initialise(self)
        for each in blocks:
            # Every block starts as its shortcut, so that depth costs nothing at the beginning.
            nn.init.zeros_(each.body[-1].weight)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(pictures)).mean((-2, -1)))


class PlainCNN(nn.Module):
    """Three convolutions with max pooling and two linear layers: the little capacity to compare
    with."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        layers, channels = [], 3
        for stage in range(3):
            layers += [*_convolution(channels, width * 2**stage, 3), nn.ReLU(), nn.MaxPool2d(2)]
            channels = width * 2**stage
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, 3))
        _initialise(self)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(pictures).mean((-2, -1)))


def resnet18(width: int = 64) -> ResNet:
    """18 layers with weights: 11.2 million numbers at width 64, 2.8 million at 32."""
    return ResNet(Basic, (2, 2, 2, 2), width)


def resnet50(width: int = 64) -> ResNet:
    """50 layers with weights: 23.5 million numbers at width 64, 5.9 million at 32."""
    return ResNet(Bottleneck, (3, 4, 6, 3), width)


def plain_cnn(width: int = 64) -> PlainCNN:
    """5 layers with weights, half as wide as a ResNet of that width: 0.1 million numbers at 64."""
    return PlainCNN(width // 2)


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "ResNet18": resnet18,
    "ResNet50": resnet50,
    "custom CNN": plain_cnn,
}


def _convolution(channels: int, width: int, size: int, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels, width, size, stride, padding=size // 2, bias=False)
    return convolution, nn.BatchNorm2d(width)


def _shortcut(channels: int, width: int, stride: int) -> nn.Module:
    if channels == width and stride == 1:
        return nn.Identity()
    return nn.Sequential(*_convolution(channels, width, 1, stride))


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
