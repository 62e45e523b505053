"""The network of `estimate`: what all windows of a picture show, averaged, then one answer.

Four 3×3 convolutions without padding, with 32, 64, 128 and 128 filters and strides of 2, 2, 2 and
1, each followed by batch norm and ReLU. A filter of the last one sees a window of 31×31 pixels, and
the next one's window lies 8 pixels on: the paper's sliding windows, within a pixel, each computed
from what it shares with its neighbours. The paper averages their answers. Here the mean and the
standard deviation of what they show go into two linear layers, so that a window need not tell the
parameters by itself, and differences between windows tell something, too.
"""

from collections.abc import Sequence

import torch
from torch import nn

FILTERS, STRIDES = (32, 64, 128, 128), (2, 2, 2, 1)
NEURONS = 64
WINDOW, STEP = 31, 8  # pixels that a place of the last convolution sees, and to the next place
_LEAST_VARIANCE = 1e-6  # keeps the square root's slope finite where a filter is silent


class TextureCNN(nn.Module):
    """Pictures (batch, channels, height, width) from 0 to 1, of any size from `WINDOW`, to
    estimates (batch, 3)."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.settings = {"channels": channels}
        self.features = nn.Sequential(*self._convolutions(channels))
        self.head = nn.Sequential(
            *(nn.Linear(2 * FILTERS[-1], NEURONS), nn.ReLU(), nn.Dropout(0.2)),
            nn.Linear(NEURONS, 3),
        )

    @staticmethod
    def _convolutions(channels: int) -> Sequence[nn.Module]:
        layers = []
        for filters, stride in zip(FILTERS, STRIDES, strict=True):
            layers += [
                nn.Conv2d(channels, filters, 3, stride=stride, bias=False),
                *(nn.BatchNorm2d(filters), nn.ReLU()),
            ]
            channels = filters
        return layers

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        seen = self.features(pictures).flatten(2)
        variance, mean = torch.var_mean(seen, 2, correction=0)
        return self.head(torch.cat((mean, (variance + _LEAST_VARIANCE).sqrt()), 1))
