"""Names of two languages told apart by a recurrent network written with tensors alone, then with nn.RNN, nn.GRU and nn.LSTM."""

import string

import torch
from torch import nn

TOLERANCE = 2e-3  # Sums over many steps in float32.

names = {0: ["Satoshi", "Yamada", "Tanaka", "Suzuki", "Ito", "Kato"], 1: ["Smith", "Jones", "Taylor", "Brown", "White"]}
letters = string.ascii_letters
samples = [(label, word) for label, words in names.items() for word in words]


def tensor_of(word):
    t = torch.zeros(len(word), 1, len(letters))
    t[torch.arange(len(word)), 0, torch.tensor([letters.index(c) for c in word])] = 1
    return t


def pattern(*shape, start=0.0, size=0.2):
    count = 1
    for n in shape:
        count *= n
    return torch.sin(torch.arange(count, dtype=torch.float32) * 0.37 + start).reshape(shape) * size


class RNN(nn.Module):
    def __init__(self, n_input, n_hidden, n_output):
        super().__init__()
        self.hidden = n_hidden
        self.i2h, self.h2h, self.h2o = (
            nn.Linear(n_input, n_hidden),
            nn.Linear(n_hidden, n_hidden),
            nn.Linear(n_hidden, n_output),
        )

    def forward(self, line):
        h = torch.zeros(1, self.hidden)
        for i in range(line.size(0)):
            h = torch.tanh(self.i2h(line[i]) + self.h2h(h))
        return torch.log_softmax(self.h2o(h), dim=1)


class Library(nn.Module):
    def __init__(self, kind, n_hidden):
        super().__init__()
        self.rnn = kind(len(letters), n_hidden)
        self.out = nn.Linear(n_hidden, 2)

    def forward(self, line):
        outputs, _ = self.rnn(line)
        return torch.log_softmax(self.out(outputs[-1]), dim=-1)


for model in (RNN(len(letters), 12, 2), Library(nn.RNN, 10), Library(nn.GRU, 8), Library(nn.LSTM, 8)):
    with torch.no_grad():
        for k, p in enumerate(model.parameters()):
            p.copy_(pattern(*p.shape, start=k))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.NLLLoss()
    losses = []
    for _ in range(6):
        total = 0.0
        for label, word in samples:
            loss = criterion(model(tensor_of(word)).reshape(1, 2), torch.tensor([label]))
            model.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 3.0)
            optimizer.step()
            total += loss.item()
        losses.append(total / len(samples))
    print(losses)
    assert losses[-1] < losses[0]
    print([model(tensor_of(w)).reshape(-1).argmax().item() for w in ("Nakamura", "Johnson")])
