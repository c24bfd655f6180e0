"""Ways in which users write the loop over time around a cell of the interface (x, h, c)."""

from typing import List, Tuple

import torch
from torch import Tensor, nn

from export_cells import GruAfter, GruBefore, Lstm2, MinimalGated


class Way(nn.Module):
    def __init__(self, inputs: int, hidden: int, cell=GruAfter):
        super().__init__()
        self.cell = cell(inputs, hidden)
        self.hidden = hidden


class BatchFirst(Way):
    """x[:, t] of [B, T, I], stacked along axis 1."""

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        h = torch.zeros(x.size(0), self.hidden)
        outputs: List[Tensor] = []
        for t in range(x.size(1)):
            h, _ = self.cell(x[:, t], h, h)
            outputs.append(h)
        return torch.stack(outputs, dim=1), h


class BatchFirstCat(Way):
    """x[:, t, :], the results unsqueezed and concatenated."""

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Tensor:
        outputs: List[Tensor] = []
        for t in range(x.size(1)):
            h, c = self.cell(x[:, t, :], h, c)
            outputs += [h.unsqueeze(1)]
        return torch.cat(outputs, dim=1)


class Transposed(Way):
    """[B, T, I] turned to time first, and the results back."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1)
        h = torch.zeros(x.size(1), self.hidden)
        outputs: List[Tensor] = []
        for t in range(x.size(0)):
            h, _ = self.cell(x[t], h, h)
            outputs.append(h)
        return torch.stack(outputs).transpose(0, 1)


class LastOnly(Way):
    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.size(1), self.hidden)
        c = torch.zeros(x.size(1), self.hidden)
        for t in range(x.size(0)):
            h, c = self.cell(x[t], h, c)
        return h


class EveryStepItsOutput(Way):
    """A list of all steps' results, each an output of the graph."""

    def forward(self, x: Tensor, h: Tensor) -> List[Tensor]:
        outputs: List[Tensor] = []
        for t in range(x.size(0)):
            h, _ = self.cell(x[t], h, h)
            outputs.append(h)
        return outputs


class Unbound(Way):
    """Over x.unbind(0)."""

    def forward(self, x: Tensor, h: Tensor) -> Tuple[Tensor, Tensor]:
        outputs: List[Tensor] = []
        for step in x.unbind(0):
            h, _ = self.cell(step, h, h)
            outputs.append(h)
        return torch.stack(outputs), h


class Chunked(Way):
    """Over the chunks of [B, T, I] along time."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.size(0), self.hidden)
        c = torch.zeros(x.size(0), self.hidden)
        outputs: List[Tensor] = []
        for step in x.chunk(x.size(1), dim=1):
            h, c = self.cell(step.squeeze(1), h, c)
            outputs.append(h)
        return torch.stack(outputs, 1)


class SplitSteps(Way):
    """Over x.split(1), the results kept as sequences of one step and concatenated."""

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        outputs: List[Tensor] = []
        for step in x.split(1):
            h, _ = self.cell(step[0], h, h)
            outputs.append(h[None])
        return torch.cat(outputs)


class Backward(Way):
    """From the last step to the first, results in the order of time."""

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        h = torch.zeros(x.size(1), self.hidden)
        outputs: List[Tensor] = []
        for t in reversed(range(x.size(0))):
            h, _ = self.cell(x[t], h, h)
            outputs.append(h)
        outputs.reverse()
        return torch.stack(outputs), h


class BackwardByIndex(Way):
    """The same by arithmetic on the index; results as they come, then flipped."""

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        steps = x.size(0)
        h = torch.zeros(x.size(1), self.hidden)
        outputs: List[Tensor] = []
        for i in range(steps):
            h, _ = self.cell(x[steps - 1 - i], h, h)
            outputs.append(h)
        return torch.flip(torch.stack(outputs), [0]), h


class Bidirectional(nn.Module):
    """Two cells, one from each end, their results side by side."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.forward_cell, self.backward_cell = MinimalGated(inputs, hidden), MinimalGated(inputs, hidden)
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        steps = x.size(0)
        zero = torch.zeros(x.size(1), self.hidden)
        h = zero
        forward: List[Tensor] = []
        for t in range(steps):
            h, _ = self.forward_cell(x[t], h, h)
            forward.append(h)
        g = zero
        backward: List[Tensor] = []
        for i in range(steps):
            g, _ = self.backward_cell(x[steps - 1 - i], g, g)
            backward.append(g)
        y = torch.cat([torch.stack(forward), torch.flip(torch.stack(backward), [0])], dim=2)
        return y, torch.cat([h, g], dim=1)


class InNetwork(Way):
    """A convolution and a dense layer before, a dense layer and log_softmax after. x [B, C, T]"""

    def __init__(self, inputs: int, hidden: int):
        super().__init__(hidden, hidden, Lstm2)
        self.before = nn.Sequential(nn.Conv1d(inputs, hidden, 3, padding=1), nn.ReLU())
        self.dense = nn.Linear(hidden, hidden)
        self.after = nn.Linear(hidden, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.dense(self.before(x).transpose(1, 2)))
        h = torch.zeros(x.size(0), self.hidden)
        c = torch.zeros(x.size(0), self.hidden)
        outputs: List[Tensor] = []
        for t in range(x.size(1)):
            h, c = self.cell(x[:, t], h, c)
            outputs.append(h)
        return torch.log_softmax(self.after(torch.stack(outputs, 1)), dim=-1)


class TwoRecurrences(nn.Module):
    """Two sequences of different lengths through cells that know nothing of one another."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.first, self.second = Lstm2(inputs, hidden), GruBefore(inputs, hidden)
        self.join = nn.Linear(2 * hidden, hidden)
        self.hidden = hidden

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        h = torch.zeros(x.size(1), self.hidden)
        c = torch.zeros(x.size(1), self.hidden)
        for t in range(x.size(0)):
            h, c = self.first(x[t], h, c)
        g = torch.zeros(z.size(1), self.hidden)
        for t in range(z.size(0)):
            g, _ = self.second(z[t], g, g)
        return torch.tanh(self.join(torch.cat([h, g], dim=1)))


class IrregularFirst(Way):
    """The first step is another: a dense layer makes the state."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__(inputs, hidden)
        self.first = nn.Linear(inputs, hidden)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x[0]))
        outputs: List[Tensor] = [h]
        for t in range(1, x.size(0)):
            h, _ = self.cell(x[t], h, h)
            outputs.append(h)
        return torch.stack(outputs)


class IrregularLast(Way):
    """Only every other result is kept, and one more step follows with its state doubled."""

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        outputs: List[Tensor] = []
        steps = x.size(0)
        for t in range(steps - 1):
            h, _ = self.cell(x[t], h, h)
            if t % 2 == 0:
                outputs.append(h)
        h, _ = self.cell(x[steps - 1], 2 * h, h)
        outputs.append(h)
        return torch.stack(outputs)


class LayerByLayer(nn.Module):
    """Two layers, the second over the list that the first gave."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.first, self.second = MinimalGated(inputs, hidden), Lstm2(hidden, hidden)
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.size(1), self.hidden)
        between: List[Tensor] = []
        for t in range(x.size(0)):
            h, _ = self.first(x[t], h, h)
            between.append(h)
        g = torch.zeros(x.size(1), self.hidden)
        c = torch.zeros(x.size(1), self.hidden)
        outputs: List[Tensor] = []
        for step in between:
            g, c = self.second(step, g, c)
            outputs.append(g)
        return torch.stack(outputs)


class Preallocated(Way):
    """Results written into a tensor that was there before."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.size(1), self.hidden)
        y = torch.zeros(x.size(0), x.size(1), self.hidden)
        for t in range(x.size(0)):
            h, _ = self.cell(x[t], h, h)
            y[t] = h
        return y


class SelectiveScan(nn.Module):
    """The scan of a selective state space over what was computed of all steps at once: decay and input
    [B, T, D, N], read-out [B, T, N]."""

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.delta, self.b, self.c = nn.Linear(channels, channels), nn.Linear(channels, size), nn.Linear(channels, size)
        self.a = nn.Parameter(-torch.arange(1.0, size + 1).repeat(channels, 1) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        delta = nn.functional.softplus(self.delta(x))
        decay = torch.exp(torch.einsum("btd,dn->btdn", delta, self.a))
        into = torch.einsum("btd,btn,btd->btdn", delta, self.b(x), x)
        out = self.c(x)
        h = torch.zeros(x.size(0), decay.size(2), decay.size(3))
        outputs: List[Tensor] = []
        for t in range(x.size(1)):
            h = decay[:, t] * h + into[:, t]
            outputs.append(torch.einsum("bdn,bn->bd", h, out[:, t]))
        return torch.stack(outputs, dim=1)
