"""Pairs of a generator and its critic: showers in a calorimeter, and pictures (DCGAN).

A generator maps noise and what is asked for (a condition) to events, a critic events and condition
to one number, by way of ``look``: a fixed function of them, in which a gradient penalty is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..errors import ConfigError

_KNOTS = 4  # bins of energy in which the response is calibrated
_SOFT = 0.02  # GeV: from here on the critic sees the logarithm of the energy of a cell


def dense_layers(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with LeakyReLU (0.2) between them."""
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(widths)):
        layers += [*([nn.LeakyReLU(0.2)] if number else []), nn.Linear(before, after)]
    return nn.Sequential(*layers)


class _Showers(nn.Module):
    """What generator and critic know of the training events: means and widths, in buffers.

    The shape is (strips, layers); the first of the conditions is the energy of the particle.
    """

    def __init__(self, shape: Sequence[int], conditions: int) -> None:
        super().__init__()
        self.shape, self.cells = tuple(shape), shape[0] * shape[1]
        self.share: Tensor
        self.response: Tensor
        self.condition: Tensor
        self.least: Tensor
        self.register_buffer("least", torch.tensor(0.0))
        self.register_buffer("share", torch.zeros(self.cells))
        self.register_buffer("response", torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        self.register_buffer("condition", torch.tensor([[0.0], [1.0]]).repeat(1, conditions))

    def fit(self, events: Tensor, condition: Tensor) -> None:
        """Take them from (N, 1, strips, layers) training events and their (N, C) conditions."""
        total = events.sum((1, 2, 3))
        self.least.copy_(events[events > 0].min())
        self.share.copy_((events.flatten(1) / total[:, None]).mean(0).clamp(min=1e-6).log())
        # in float64: the last bit of a product depends on where its numbers lie in memory
        powers = self._powers(condition.double())
        response = total.double() / condition[:, 0]
        mean = torch.linalg.lstsq(powers[0], response).solution
        square = (response - powers[0] @ mean).square()
        spread = torch.linalg.lstsq(powers[1], square).solution.clamp(min=1e-8)
        self.response.copy_(torch.stack([mean, spread]))
        known = torch.cat([condition[:, :1].log(), condition[:, 1:]], dim=1)
        self.condition.copy_(torch.stack([known.mean(0), known.std(0).clamp(min=1e-3)]))

    def standard(self, condition: Tensor) -> Tensor:
        """Conditions in units of their width, the energy as its logarithm."""
        known = torch.cat([condition[:, :1].log(), condition[:, 1:]], dim=1)
        return (known - self.condition[0]) / self.condition[1]

    def expected(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1) mean response, linear in ln E, and its spread, sqrt(a / E + b)."""
        mean, square = ((p * c).sum(1, keepdim=True) for p, c in
                        zip(self._powers(condition), self.response, strict=True))  # fmt: skip
        return mean, square.sqrt()

    @staticmethod
    def _powers(condition: Tensor) -> tuple[Tensor, Tensor]:
        energy = condition[:, 0]
        ones = torch.ones_like(energy)
        return torch.stack([ones, energy.log()], 1), torch.stack([ones, 1 / energy], 1)


class ShowerGenerator(_Showers):
    """Cells of a shower: E × response × softmax over the cells.

    The response has an output of its own, in units of the resolution of the training events, so
    that the energy is right whatever the cells are; at the end it is calibrated. Response and cells
    have noise of their own beside the common one, of a width that is learned: sampling
    fluctuations, which no few numbers hold.

    Args:
        shape: (strips, layers).
        conditions: see :class:`ShowerCritic`.
        hidden: widths.
        latent: common random numbers.
    """

    def __init__(
        self, shape: Sequence[int], conditions: int, hidden: Sequence[int], latent: int
    ) -> None:
        super().__init__(shape, conditions)
        self.latent, self.noise = latent, latent + self.cells + 1
        self.tune: Tensor
        places = torch.arange(float(_KNOTS))
        self.register_buffer("tune", torch.stack([places, 0 * places, 0 * places + 1]))
        self.network = dense_layers([latent + conditions, *hidden, 2 * (self.cells + 1)])
        last = self.network[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias.zero_()
            last.bias[self.cells + 1 : -1] = -1.0

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """(B, noise) and (B, C) conditions to (B, 1, strips, layers) energies of the cells."""
        common, each = noise[:, : self.latent], noise[:, self.latent :]
        out = self.network(torch.cat([common, self.standard(condition)], dim=1))
        mean, width = out.chunk(2, dim=1)
        out = mean + width.clamp(max=2.0).exp() * each
        share = torch.softmax(self.share + out[:, :-1], dim=1)
        mean, spread = self.expected(condition)
        total = condition[:, :1] * (mean + spread * self._tuned(out[:, -1:], condition))
        cells: Tensor = (total * share).view(-1, 1, *self.shape)
        return cells

    def _tuned(self, response: Tensor, condition: Tensor) -> Tensor:
        """Move and stretch the response as :meth:`calibrate` found, between its energies."""
        places, shift, scale = self.tune
        energy = condition[:, :1].log().contiguous()
        after = torch.searchsorted(places, energy).clamp(1, _KNOTS - 1)
        part = (energy - places[after - 1]) / (places[after] - places[after - 1])
        both = (torch.lerp(t[after - 1], t[after], part.clamp(0, 1)) for t in (shift, scale))
        return next(both) + next(both) * response

    @torch.no_grad()
    def calibrate(self, events: Tensor, condition: Tensor, noise: Tensor) -> None:
        """Give the response the median and width that it has in the events, bin by bin in energy.

        Events are (N, 1, strips, layers), their conditions (N, C); the noise (N, noise) is what
        events are drawn with for these.
        """
        energy = condition[:, 0].contiguous()
        mean, spread = self.expected(condition)
        edges = torch.quantile(energy, torch.linspace(0, 1, _KNOTS + 1))
        where = torch.searchsorted(edges[1:-1].contiguous(), energy)
        levels = torch.tensor([0.1587, 0.5, 0.8413])
        rows = []
        for cells in (events, self(noise, condition)):
            response = (cells.sum((1, 2, 3)) / energy - mean[:, 0]) / spread[:, 0]
            quantiles = [torch.quantile(response[where == b], levels) for b in range(_KNOTS)]
            rows.append(torch.stack(quantiles, dim=1))
        scale = (rows[0][2] - rows[0][0]) / (rows[1][2] - rows[1][0]).clamp(min=1e-3)
        middle = [energy[where == b].log().mean() for b in range(_KNOTS)]
        self.tune.copy_(torch.stack([torch.stack(middle), rows[0][1] - scale * rows[1][1], scale]))

    def read_out(self, events: Tensor) -> Tensor:
        """Without the cells that hold less than any in training: 0, their energy in the others."""
        kept = torch.where(events < self.least, 0.0, events)
        total, left = (z.sum((2, 3), keepdim=True) for z in (events, kept))
        return kept * (total / left.clamp(min=1e-6))


class ShowerCritic(_Showers):
    """Looks at cells, layers and strips, in logarithms and as shares, and at the response.

    The shape is (strips, layers); of the conditions, numbers that are asked for, the first is the
    energy of the particle.
    """

    def __init__(self, shape: Sequence[int], conditions: int, hidden: Sequence[int]) -> None:
        super().__init__(shape, conditions)
        self.network = dense_layers([self.cells + 2 * sum(shape) + 1 + conditions, *hidden, 1])

    def look(self, events: Tensor, condition: Tensor) -> Tensor:
        """(B, F) what the critic sees of events and conditions."""
        cells = events[:, 0]
        total = cells.sum((1, 2)).clamp(min=1e-6)[:, None]
        mean, spread = self.expected(condition)
        response = (total / condition[:, :1] - mean) / spread
        sums = torch.cat([cells.sum(1), cells.sum(2)], dim=1).clamp(min=0)
        energies = torch.cat([cells.flatten(1).clamp(min=0), sums], dim=1)
        logarithms = 0.5 * torch.log1p(energies / _SOFT)
        return torch.cat([logarithms, 10 * sums / total, response, self.standard(condition)], dim=1)

    def forward(self, seen: Tensor) -> Tensor:
        """(B, F) to (B,)."""
        out: Tensor = self.network(seen)
        return out[:, 0]


class PictureGenerator(nn.Module):
    """Pictures by two transposed convolutions: DCGAN (Radford, Metz & Chintala, arXiv:1511.06434).

    Args:
        shape: (channels, height, width); height and width are multiples of 4.
        conditions: numbers that are asked for.
        channels: of the inner maps, the smallest picture first.
        latent: random numbers.

    Raises:
        ConfigError: a height or width that is no multiple of 4.
    """

    def __init__(
        self, shape: Sequence[int], conditions: int, channels: Sequence[int], latent: int
    ) -> None:
        super().__init__()
        depth, height, width = shape
        if height % 4 or width % 4 or len(channels) != 2:
            raise ConfigError(
                f"pictures of {height} × {width} pixels, by maps of {list(channels)}",
                where="generate",
                mend="convert them to multiples of 4 "
                "(convert.pictures.size), and give two numbers of maps",
            )
        first, second = channels
        self.noise = latent
        self.start = (first, height // 4, width // 4)
        self.network = nn.Sequential(
            nn.Linear(latent + conditions, first * height * width // 16),
            nn.Unflatten(1, self.start),
            nn.BatchNorm2d(first), nn.ReLU(),
            nn.ConvTranspose2d(first, second, 4, 2, 1), nn.BatchNorm2d(second), nn.ReLU(),
            nn.ConvTranspose2d(second, depth, 4, 2, 1), nn.Sigmoid(),
        )  # fmt: skip

    def fit(self, events: Tensor, condition: Tensor) -> None:
        """Nothing is taken from the training events."""

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """(B, noise) and (B, C) conditions to pictures (B, channels, height, width) in [0, 1]."""
        out: Tensor = self.network(torch.cat([noise, condition], dim=1))
        return out

    def calibrate(self, events: Tensor, condition: Tensor, noise: Tensor) -> None:
        """Nothing is to be calibrated."""

    def read_out(self, events: Tensor) -> Tensor:
        """The pictures as they are."""
        return events


class PictureCritic(nn.Module):
    """Two convolutions with LeakyReLU; conditions are further channels of the picture.

    The shape is (channels, height, width), the channels are those of the generator.
    """

    def __init__(self, shape: Sequence[int], conditions: int, channels: Sequence[int]) -> None:
        super().__init__()
        depth, height, width = shape
        first, second = channels
        self.network = nn.Sequential(
            nn.Conv2d(depth + conditions, second, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(second, first, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(first * height * width // 16, 1),
        )  # fmt: skip

    def fit(self, events: Tensor, condition: Tensor) -> None:
        """Nothing is taken from the training events."""

    def look(self, events: Tensor, condition: Tensor) -> Tensor:
        """Pictures with a channel for each condition."""
        planes = condition[:, :, None, None].expand(-1, -1, *events.shape[2:])
        return torch.cat([events, planes], dim=1)

    def forward(self, seen: Tensor) -> Tensor:
        """What :meth:`look` gives to (B,)."""
        out: Tensor = self.network(seen)
        return out[:, 0]
