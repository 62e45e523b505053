"""Study 1's networks: from a small window of a picture to parameters between 0 and 1.

Table I of the paper, with windows of 32 pixels in colour:

    3×3 convolution to 64 channels, stride 2; ReLU; zero padding; 2×2 maximum; dropout 25 %
    3×3 convolution to 128 channels, stride 2; ReLU; zero padding; dropout 25 %
    512 neurons; 64 neurons; dropout 50 %; one output per parameter; sigmoid

The table leaves open the stride ("with strides") and what follows the linear layers: the stride is
2 here, and ReLU follows. Zeros are padded after the convolutions, so that at the end of the first
part a window of 32 pixels has 8×8 cells and at the end of the second 4×4.
"""

from collections.abc import Sequence

import torch
from torch import nn

CHANNELS = (64, 128)  # of the two convolutions
NEURONS = (512, 64)  # of the two linear layers


class WindowedCNN(nn.Module):
    """Windows (batch, channels, window, window) to estimates (batch, 3) in 0 … 1.

    With `batch_norm` a batch norm stands before each ReLU, and nothing is dropped but before the
    last layer.
    """

    def __init__(self, window: int = 32, *, channels: int = 3, batch_norm: bool = False) -> None:
        super().__init__()
        check_window(window)
        self.settings = {"window": window, "channels": channels, "batch_norm": batch_norm}
        self.window = window
        first, second = CHANNELS
        self.features = nn.Sequential(
            *self._convolution(channels, first, batch_norm),
            nn.MaxPool2d(2),
            nn.Dropout(0.0 if batch_norm else 0.25),
            *self._convolution(first, second, batch_norm),
            nn.Dropout(0.0 if batch_norm else 0.25),
            nn.Flatten(),
        )
        self.head = _head(second * (window // 8) ** 2, batch_norm)

    @staticmethod
    def _convolution(channels: int, width: int, batch_norm: bool) -> Sequence[nn.Module]:
        norm = (nn.BatchNorm2d(width),) if batch_norm else ()
        # An even number of pixels makes one cell less than half of them: the padding adds it.
        return (
            nn.Conv2d(channels, width, 3, stride=2, bias=not batch_norm),
            *norm,
            nn.ReLU(),
            nn.ZeroPad2d((0, 1, 0, 1)),
        )

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(windows))


class FullyConnected(nn.Module):
    """The fully connected network of equal depth: the convolutions are linear layers, too.

    They have as many neurons as the convolutions have channels, and the same dropout or batch norm.
    """

    def __init__(self, window: int = 32, *, channels: int = 3, batch_norm: bool = False) -> None:
        super().__init__()
        check_window(window)
        self.settings = {"window": window, "channels": channels, "batch_norm": batch_norm}
        self.window = window
        layers, inputs = [], channels * window**2
        for width in CHANNELS:
            layers += _linear(inputs, width, batch_norm)
            layers.append(nn.Dropout(0.0 if batch_norm else 0.25))
            inputs = width
        self.features = nn.Sequential(nn.Flatten(), *layers)
        self.head = _head(inputs, batch_norm)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(windows))


def check_window(window: int) -> None:
    """Refuse windows that three halvings do not divide."""
    if window < 16 or window % 8:
        raise ValueError(f"Three halvings need windows of 16, 24, 32 … pixels, not {window}.")


def _linear(inputs: int, width: int, batch_norm: bool) -> Sequence[nn.Module]:
    norm = (nn.BatchNorm1d(width),) if batch_norm else ()
    return nn.Linear(inputs, width, bias=not batch_norm), *norm, nn.ReLU()


def _head(inputs: int, batch_norm: bool) -> nn.Sequential:
    layers = []
    for width in NEURONS:
        layers += _linear(inputs, width, batch_norm)
        inputs = width
    return nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(inputs, 3), nn.Sigmoid())
