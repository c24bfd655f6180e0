"""Recurrences whose step needs more than x and two states, each with the loop that runs it."""

from typing import List, Tuple

import torch
from torch import Tensor, nn

from export_cells import GruAfter, bias, weight


class Clockwork(nn.Module):
    """The clockwork network: a unit moves in the steps that its period divides.
    Koutnik et al., "A Clockwork RNN", 2014."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.x, self.h = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden, bias=False)
        groups = 3
        period = 2 ** (torch.arange(hidden) * groups // hidden)
        self.register_buffer("period", period)
        # Units see those of their own and of longer periods.
        sees = (period.unsqueeze(1) <= period.unsqueeze(0)).float()
        self.h.weight.data *= sees

    def forward(self, x: Tensor, t: int, h: Tensor) -> Tensor:
        return torch.where(t % self.period == 0, torch.tanh(self.x(x) + self.h(h)), h)


class ClockworkOverTime(nn.Module):
    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.cell = Clockwork(inputs, hidden)
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        h = torch.zeros(x.size(1), self.hidden)
        outputs: List[Tensor] = []
        for t in range(x.size(0)):
            h = self.cell(x[t], t, h)
            outputs.append(h)
        return torch.stack(outputs), h


class MaskedStep(nn.Module):
    """A GRU step for the sequences that have not ended; the others keep their state and give zero."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.cell = GruAfter(inputs, hidden)

    def forward(self, x: Tensor, t: int, lengths: Tensor, h: Tensor) -> Tuple[Tensor, Tensor]:
        new, _ = self.cell(x, h, h)
        running = (lengths > t).unsqueeze(1)
        return torch.where(running, new, h), torch.where(running, new, torch.zeros_like(new))


class MaskedOverTime(nn.Module):
    """x [T, B, I], lengths [B]"""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.cell = MaskedStep(inputs, hidden)
        self.hidden = hidden

    def forward(self, x: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        h = torch.zeros(x.size(1), self.hidden)
        outputs: List[Tensor] = []
        for t in range(x.size(0)):
            h, y = self.cell(x[t], t, lengths, h)
            outputs.append(y)
        return torch.stack(outputs), h


class SelectiveStep(nn.Module):
    """A selective state space: decay, input and output of the state depend on x; state [B, channels, size].
    Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023."""

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.delta = nn.Linear(channels, channels)
        self.b = nn.Linear(channels, size, bias=False)
        self.c = nn.Linear(channels, size, bias=False)
        self.a = nn.Parameter(-torch.arange(1.0, size + 1).repeat(channels, 1) * 0.3)
        self.d = bias(channels)

    def forward(self, x: Tensor, h: Tensor) -> Tuple[Tensor, Tensor]:
        delta = nn.functional.softplus(self.delta(x)).unsqueeze(-1)
        h = torch.exp(delta * self.a) * h + delta * x.unsqueeze(-1) * self.b(x).unsqueeze(1)
        return h, (h * self.c(x).unsqueeze(1)).sum(-1) + self.d * x


class SelectiveOverTime(nn.Module):
    def __init__(self, channels: int, size: int):
        super().__init__()
        self.cell = SelectiveStep(channels, size)
        self.channels, self.size = channels, size

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        h = torch.zeros(x.size(1), self.channels, self.size)
        outputs: List[Tensor] = []
        for t in range(x.size(0)):
            h, y = self.cell(x[t], h)
            outputs.append(y)
        return torch.stack(outputs), h


class AttentionStep(nn.Module):
    """A decoder step with dot attention over memory [B, S, H], which gets its last attentional vector
    back. Luong et al., "Effective Approaches to Attention-based Neural Machine Translation", 2015."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.cell = GruAfter(inputs + hidden, hidden)
        self.combine = nn.Linear(2 * hidden, hidden, bias=False)

    def forward(self, x: Tensor, memory: Tensor, feed: Tensor, h: Tensor) -> Tuple[Tensor, Tensor]:
        h, _ = self.cell(torch.cat([x, feed], dim=1), h, h)
        scores = torch.softmax(torch.bmm(memory, h.unsqueeze(2)).squeeze(2), dim=1)
        context = torch.bmm(scores.unsqueeze(1), memory).squeeze(1)
        return torch.tanh(self.combine(torch.cat([context, h], dim=1))), h


class AttentionOverTime(nn.Module):
    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.cell = AttentionStep(inputs, hidden)
        self.hidden = hidden

    def forward(self, x: Tensor, memory: Tensor) -> Tuple[Tensor, Tensor]:
        h = torch.zeros(x.size(1), self.hidden)
        feed = torch.zeros(x.size(1), self.hidden)
        outputs: List[Tensor] = []
        for t in range(x.size(0)):
            feed, h = self.cell(x[t], memory, feed, h)
            outputs.append(feed)
        return torch.stack(outputs), h


class GreedyStep(nn.Module):
    """A decoder step with additive attention over memory [B, S, H] whose input is the token that scored
    best in the last step."""

    def __init__(self, tokens: int, hidden: int):
        super().__init__()
        self.embed = nn.Embedding(tokens, hidden)
        self.key, self.query = nn.Linear(hidden, hidden, bias=False), nn.Linear(hidden, hidden)
        self.score = weight(hidden, 1)
        self.cell = GruAfter(2 * hidden, hidden)
        self.classify = nn.Linear(hidden, tokens)

    def forward(self, memory: Tensor, token: Tensor, h: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        scores = torch.tanh(self.key(memory) + self.query(h).unsqueeze(1)) @ self.score
        context = (torch.softmax(scores, dim=1) * memory).sum(1)
        h, _ = self.cell(torch.cat([self.embed(token), context], dim=1), h, h)
        y = self.classify(h)
        return y.argmax(1), h, y


class GreedyOverTime(nn.Module):
    """As many tokens as memory has places; the first input is token 0."""

    def __init__(self, tokens: int, hidden: int):
        super().__init__()
        self.cell = GreedyStep(tokens, hidden)

    def forward(self, memory: Tensor, h: Tensor) -> Tuple[Tensor, Tensor]:
        token = torch.zeros(memory.size(0), dtype=torch.int64)
        outputs: List[Tensor] = []
        for _ in range(memory.size(1)):
            token, h, y = self.cell(memory, token, h)
            outputs.append(y)
        return torch.stack(outputs), h
