"""Whole networks around PyTorch's own recurrent layers."""

import math
from typing import List, Tuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Packed(nn.Module):
    """A recurrent layer over sequences of different lengths, longest first."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor):
        return self.run(x, lengths, None)

    def run(self, x: Tensor, lengths: Tensor, h0):
        first = self.layer.batch_first
        y, state = self.layer(pack_padded_sequence(x, lengths, batch_first=first), h0)
        y, _ = pad_packed_sequence(y, batch_first=first, total_length=x.size(1 if first else 0))
        return y, state[0] if isinstance(state, tuple) else state


class PackedFromState(Packed):
    """The same from a given state."""

    def forward(self, x: Tensor, lengths: Tensor, h0: Tensor):
        return self.run(x, lengths, h0)


class LstmWithStates(nn.LSTM):
    """nn.LSTM with its states as separate arguments."""

    def forward(self, x: Tensor, h: Tensor, c: Tensor):
        return super().forward(x, (h, c))


class Crnn1d(nn.Module):
    """Convolutions and pooling over time, a bidirectional LSTM, class probabilities. x [B, C, T]"""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(channels, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(16, 16, 3, padding=1), nn.LeakyReLU(0.1), nn.AvgPool1d(2))
        self.lstm = nn.LSTM(16, 12, bidirectional=True, batch_first=True)
        self.classify = nn.Linear(24, classes)
        nn.init.normal_(self.features[1].running_mean, 0, 0.3)
        nn.init.uniform_(self.features[1].running_var, 0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.lstm(self.features(x).transpose(1, 2))
        return torch.log_softmax(self.classify(y), dim=-1)


class Crnn2d(nn.Module):
    """Text recognition: columns of a picture's features are the time steps. x [B, 1, 16, W]"""

    def __init__(self, classes: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d((2, 1)))
        self.gru = nn.GRU(8 * 4, 12, bidirectional=True)
        self.classify = nn.Linear(24, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.features(x)
        y = y.permute(3, 0, 1, 2).flatten(2)
        y, _ = self.gru(y)
        return torch.softmax(self.classify(y), dim=2)


class CharacterModel(nn.Module):
    """Next-character scores: embedding, two LSTM layers, linear. tokens [B, T]"""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, 12)
        self.lstm = nn.LSTM(12, 20, num_layers=2, batch_first=True, dropout=0.3)
        self.classify = nn.Linear(20, vocabulary)

    def forward(self, tokens: Tensor, h: Tensor, c: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        y, (h, c) = self.lstm(self.embed(tokens), (h, c))
        return self.classify(y), h, c


class AdditiveAttention(nn.Module):
    """Bahdanau's: v tanh(W h + U s), over memory [S, B, H]."""

    def __init__(self, hidden: int):
        super().__init__()
        self.query, self.key = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, h: Tensor, memory: Tensor) -> Tensor:
        scores = self.score(torch.tanh(self.query(h).unsqueeze(0) + self.key(memory)))
        return (torch.softmax(scores, dim=0) * memory).sum(dim=0)


class Seq2SeqTeacher(nn.Module):
    """Encoder GRU and decoder with additive attention over given targets; tracing unrolls it."""

    def __init__(self, vocabulary: int, hidden: int):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, 8)
        self.encoder = nn.GRU(8, hidden)
        self.attention = AdditiveAttention(hidden)
        self.decoder = nn.GRUCell(8 + hidden, hidden)
        self.classify = nn.Linear(2 * hidden, vocabulary)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory, last = self.encoder(self.embed(source))
        h = last[0]
        scores = []
        for t in range(target.size(0)):
            context = self.attention(h, memory)
            h = self.decoder(torch.cat([self.embed(target[t]), context], dim=1), h)
            scores.append(self.classify(torch.cat([h, context], dim=1)))
        return torch.log_softmax(torch.stack(scores), dim=2)


class GreedyDecoder(nn.Module):
    """Decodes by feeding back the most likely token, with dot attention; scripted, so it stays a loop."""

    def __init__(self, vocabulary: int, hidden: int):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, 8)
        self.x = nn.Linear(8 + hidden, 3 * hidden)
        self.h = nn.Linear(hidden, 3 * hidden)
        self.classify = nn.Linear(hidden, vocabulary)
        # Far apart, so that rounding does not decide between tokens.
        nn.init.normal_(self.classify.weight, 0, 1.5)

    def forward(self, memory: Tensor, h: Tensor, steps: Tensor) -> Tuple[Tensor, Tensor]:
        token = torch.zeros(h.size(0), dtype=torch.long)
        tokens: List[Tensor] = []
        scores: List[Tensor] = []
        for _ in range(int(steps)):
            weights = torch.softmax((memory * h.unsqueeze(1)).sum(2), dim=1)
            context = (weights.unsqueeze(2) * memory).sum(1)
            xr, xz, xn = torch.chunk(self.x(torch.cat([self.embed(token), context], 1)), 3, 1)
            hr, hz, hn = torch.chunk(self.h(h), 3, 1)
            z = torch.sigmoid(xz + hz)
            h = (1 - z) * torch.tanh(xn + torch.sigmoid(xr + hr) * hn) + z * h
            score = self.classify(h)
            token = score.argmax(1)
            tokens.append(token)
            scores.append(score)
        return torch.stack(tokens), torch.stack(scores)


def daily_series(length: int) -> Tensor:
    """A noisy cycle of 24 steps under one of 168, as of a demand by the hour."""
    step = torch.arange(length)
    day, week = torch.sin(2 * math.pi * step / 24), torch.sin(2 * math.pi * step / 168)
    return day * (1 + 0.4 * week) + 0.5 * week + 0.05 * torch.randn(length)


class Forecaster(nn.Module):
    """The next value of daily_series, from the values so far: trained for that."""

    def __init__(self, hidden: int):
        super().__init__()
        self.gru = nn.GRU(1, hidden)
        self.out = nn.Linear(hidden, 1)
        optimizer = torch.optim.Adam(self.parameters(), 0.02)
        for _ in range(150):
            series = torch.stack([daily_series(337) for _ in range(8)], 1).unsqueeze(2)
            loss = (self(series[:-1]) - series[1:]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def forward(self, x: Tensor):
        return self.out(self.gru(x)[0])
