"""Study 3's network: six convolutions and one linear layer, from a picture to one number.

Each block is a 3×3 convolution with 16, 32, 64, 64, 128 or 128 filters, a 2×2 maximum, ReLU and
batch norm, so that 128 pixels become 2 and one linear layer reads what is left. (The maximum comes
first: ReLU commutes with it, and has a quarter of the work left. Batch norm, which the paper names
before the maximum, then sees the pooled maps.) Nothing in it knows how large the
pictured area is. With `knows_view` it is told: the logarithm of the field of view joins the picture
as a second channel, the same in every pixel, so that the first convolution already can weigh what
it sees.
"""

import math

import torch
from torch import nn

FILTERS = (16, 32, 64, 64, 128, 128)
SHRINKS = 2 ** len(FILTERS)


class ScaleCNN(nn.Module):
    """Pictures (batch, 1, pixels, pixels) of m_z, and fields of view (batch,) in nm, to (batch,).

    `views` are the smallest and the largest field of view of the training; they set the scale of
    the second channel, -1 to 1, and are ignored without `knows_view`.
    """

    def __init__(
        self,
        pixels: int = 128,
        *,
        knows_view: bool = False,
        views: tuple[float, float] = (500.0, 2000.0),
    ) -> None:
        super().__init__()
        if pixels < SHRINKS or pixels % SHRINKS:
            raise ValueError(
                f"Six halvings need pictures of {SHRINKS}, {2 * SHRINKS}, … pixels, not {pixels}."
            )
        if not 0 < views[0] < views[1] < math.inf:
            raise ValueError(
                f"The fields of view go from a smaller to a larger one in nm, not over {views}."
            )
        self.pixels, self.knows_view, self.views = pixels, knows_view, tuple(views)
        layers, channels = [], 2 if knows_view else 1
        for filters in FILTERS:
            layers += [
                nn.Conv2d(channels, filters, 3, padding=1),
                *(nn.MaxPool2d(2), nn.ReLU(), nn.BatchNorm2d(filters)),
            ]
            channels = filters
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(channels * (pixels // SHRINKS) ** 2, 1)

    def forward(self, pictures: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
        if self.knows_view:
            low, high = (math.log(view) for view in self.views)
            place = (2 * views.to(pictures.dtype).log() - low - high) / (high - low)
            channel = place[:, None, None, None].expand_as(pictures)
            pictures = torch.cat((pictures, channel), 1)
        return self.head(self.blocks(pictures).flatten(1))[:, 0]
