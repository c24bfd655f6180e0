"""Recurrent cells written by hand, as PyTorch users write them, and ways to run them over time."""

from typing import List, Tuple

import torch
from torch import Tensor, nn


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) * (0.8 / shape[0] ** 0.5))


def bias(size: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(size) * 0.3)


class Lstm8(nn.Module):
    """An LSTM of eight matrix products, two a gate."""

    states = 2

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.wi, self.wf, self.wg, self.wo = (weight(inputs, hidden) for _ in range(4))
        self.ri, self.rf, self.rg, self.ro = (weight(hidden, hidden) for _ in range(4))
        self.bi, self.bf, self.bg, self.bo = (bias(hidden) for _ in range(4))

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        i = torch.sigmoid(x @ self.wi + h @ self.ri + self.bi)
        f = torch.sigmoid(x @ self.wf + h @ self.rf + self.bf)
        g = torch.tanh(x @ self.wg + h @ self.rg + self.bg)
        o = torch.sigmoid(x @ self.wo + h @ self.ro + self.bo)
        c = f * c + i * g
        return o * torch.tanh(c), c


class GruBefore(nn.Module):
    """A GRU that resets before the product, on the concatenation of h and x."""

    states = 1

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.r = nn.Linear(hidden + inputs, hidden)
        self.z = nn.Linear(hidden + inputs, hidden)
        self.n = nn.Linear(hidden + inputs, hidden)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        hx = torch.cat([h, x], dim=1)
        r = torch.sigmoid(self.r(hx))
        z = torch.sigmoid(self.z(hx))
        n = torch.tanh(self.n(torch.cat([r * h, x], dim=1)))
        return (1 - z) * n + z * h, c


class MinimalGated(nn.Module):
    """The minimal gated unit: one gate, both forget and reset."""

    states = 1

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.xf, self.xn = nn.Linear(inputs, hidden), nn.Linear(inputs, hidden)
        self.hf, self.hn = (nn.Linear(hidden, hidden, bias=False) for _ in range(2))

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        f = torch.sigmoid(self.xf(x) + self.hf(h))
        n = torch.tanh(self.xn(x) + self.hn(f * h))
        return (1 - f) * h + f * n, c


class PeepholeLstm(nn.Module):
    """An LSTM whose gates see the cell state."""

    states = 2

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.gates = nn.Linear(inputs + hidden, 4 * hidden)
        self.pi, self.pf, self.po = (bias(hidden) for _ in range(3))

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        i, f, g, o = torch.chunk(self.gates(torch.cat([x, h], dim=1)), 4, dim=1)
        i = torch.sigmoid(i + self.pi * c)
        f = torch.sigmoid(f + self.pf * c)
        c = f * c + i * torch.tanh(g)
        o = torch.sigmoid(o + self.po * c)
        return o * torch.tanh(c), c


class LayerNormLstm(nn.Module):
    """An LSTM with layer normalisation of both products and of the cell state."""

    states = 2

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.x = nn.Linear(inputs, 4 * hidden, bias=False)
        self.h = nn.Linear(hidden, 4 * hidden, bias=False)
        self.norm_x, self.norm_h = nn.LayerNorm(4 * hidden), nn.LayerNorm(4 * hidden)
        self.norm_c = nn.LayerNorm(hidden)
        for norm in (self.norm_x, self.norm_h, self.norm_c):
            nn.init.normal_(norm.weight, 1, 0.2)
            nn.init.normal_(norm.bias, 0, 0.2)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        i, f, g, o = torch.chunk(self.norm_x(self.x(x)) + self.norm_h(self.h(h)), 4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(self.norm_c(c)), c


class IndRnn(nn.Module):
    """IndRNN: each unit sees its own state only."""

    states = 1

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.x = nn.Linear(inputs, hidden)
        self.u = nn.Parameter(torch.rand(hidden) * 1.6 - 0.8)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        return torch.relu(self.x(x) + self.u * h), c


class Coupled(nn.Module):
    """Two oscillating states, by the explicit rule of Euler: each reads the other of the step before."""

    states = 2

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.x = nn.Linear(inputs, hidden)
        self.force = nn.Linear(hidden, hidden)
        self.speed = nn.Linear(hidden, hidden, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        position = h + 0.3 * torch.tanh(self.speed(c))
        return position, c + 0.3 * torch.tanh(self.x(x) - self.force(h))


class Sru(nn.Module):
    """The simple recurrent unit: every product is of x alone; h is not looked at. hidden == inputs."""

    states = 1

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.n = nn.Linear(inputs, hidden, bias=False)
        self.f, self.r = nn.Linear(inputs, hidden), nn.Linear(inputs, hidden)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        f = torch.sigmoid(self.f(x))
        r = torch.sigmoid(self.r(x))
        c = f * c + (1 - f) * self.n(x)
        return r * torch.tanh(c) + (1 - r) * x, c


class TorchCell(nn.Module):
    """nn.LSTMCell, nn.GRUCell or nn.RNNCell behind the interface of the cells above."""

    def __init__(self, cell: nn.Module):
        super().__init__()
        self.cell = cell
        self.states = 2 if isinstance(cell, nn.LSTMCell) else 1


class LstmCell(TorchCell):
    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        h, c = self.cell(x, (h, c))
        return h, c


class StatelessCell(TorchCell):
    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        return self.cell(x, h), c


class LayerStep(nn.Module):
    """One step of nn.GRU or nn.RNN as a cell: a recurrent layer inside a loop."""

    states = 1

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        _, last = self.layer(x.unsqueeze(0), h.unsqueeze(0))
        return last[0], c


class OverTime(nn.Module):
    """A cell over x [T, B, I] from states [B, H]; traced, its loop unrolls; scripted, it stays."""

    def __init__(self, cell: nn.Module):
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        outputs: List[Tensor] = []
        for t in range(x.size(0)):
            h, c = self.cell(x[t], h, c)
            outputs.append(h)
        return torch.stack(outputs), h, c


class OverTimeFromZero(nn.Module):
    """The same with one state, which starts at zero."""

    def __init__(self, cell: nn.Module, hidden: int):
        super().__init__()
        self.cell = cell
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        h = torch.zeros(x.size(1), self.hidden)
        c = torch.zeros(x.size(1), self.hidden)
        outputs: List[Tensor] = []
        for t in range(x.size(0)):
            h, c = self.cell(x[t], h, c)
            outputs.append(h)
        return torch.stack(outputs), h


class TwoLayers(nn.Module):
    """Two cells, the second on the first's output, both stepped in one loop."""

    def __init__(self, first: nn.Module, second: nn.Module, hidden: int):
        super().__init__()
        self.first, self.second = first, second
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        h1 = torch.zeros(x.size(1), self.hidden)
        c1, h2, c2 = h1, h1, h1
        outputs: List[Tensor] = []
        for t in range(x.size(0)):
            h1, c1 = self.first(x[t], h1, c1)
            h2, c2 = self.second(h1, h2, c2)
            outputs.append(h2)
        return torch.stack(outputs, dim=1), h1, h2


class TwoLayersStep(nn.Module):
    """One step of TwoLayers."""

    def __init__(self, layers: TwoLayers):
        super().__init__()
        self.first, self.second = layers.first, layers.second

    def forward(self, x: Tensor, h2: Tensor, h1: Tensor, c2: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        h1, _ = self.first(x, h1, h1)
        h2, c2 = self.second(h1, h2, c2)
        return h2, h1, c2


class ProjectedLstm(nn.Module):
    """An LSTM whose output is projected before it comes back: proj_size, which PyTorch does not export."""

    states = 2

    def __init__(self, inputs: int, hidden: int, projection: int):
        super().__init__()
        self.x = nn.Linear(inputs, 4 * hidden)
        self.h = nn.Linear(projection, 4 * hidden)
        self.p = nn.Linear(hidden, projection, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        i, f, g, o = torch.chunk(self.x(x) + self.h(h), 4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return self.p(torch.sigmoid(o) * torch.tanh(c)), c


class Lstm2(nn.Module):
    """An LSTM of two matrix products, one of x and one of h, all gates side by side."""

    states = 2

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.w, self.r, self.b = weight(inputs, 4 * hidden), weight(hidden, 4 * hidden), bias(4 * hidden)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        i, f, g, o = torch.chunk(x @ self.w + h @ self.r + self.b, 4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class GruAfter(nn.Module):
    """A GRU that resets after the product, as PyTorch and cuDNN do."""

    states = 1

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.x, self.h = nn.Linear(inputs, 3 * hidden), nn.Linear(hidden, 3 * hidden)
        self.hidden = hidden

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor]:
        xr, xz, xn = torch.split(self.x(x), self.hidden, dim=1)
        hr, hz, hn = torch.split(self.h(h), self.hidden, dim=1)
        z = torch.sigmoid(xz + hz)
        n = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
        return n + z * (h - n), c


class Scrn(nn.Module):
    """The structurally constrained network: hidden units h beside slow context units s.
    Mikolov et al., "Learning Longer Memory in Recurrent Neural Networks", 2014."""

    states = 2

    def __init__(self, inputs: int, hidden: int, context: int):
        super().__init__()
        self.alpha = 0.95
        self.b = nn.Linear(inputs, context, bias=False)
        self.p = nn.Linear(context, hidden, bias=False)
        self.a, self.r = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden, bias=False)

    def forward(self, x: Tensor, h: Tensor, s: Tensor) -> Tuple[Tensor, Tensor]:
        s = (1 - self.alpha) * self.b(x) + self.alpha * s
        return torch.sigmoid(self.p(s) + self.a(x) + self.r(h)), s
