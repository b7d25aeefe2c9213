"""A word language model: an LSTM with tied embeddings, truncated backpropagation, clipping, and a learning rate that anneals."""

import math

import numpy as np
import torch
from torch import nn

TOLERANCE = 3e-3  # Recurrent sums in float32.

TEXT = """the cat sat on the mat and the dog sat on the rug . the cat saw the dog and the dog saw the cat .
a bird sat in the tree and sang to the cat and the dog . the dog ran to the tree and the bird flew to the hill ."""
words = TEXT.split() * 3
vocabulary = {w: i for i, w in enumerate(sorted(set(words)))}
ids = torch.tensor([vocabulary[w] for w in words])
batch_size, bptt = 6, 8


def batchify(data, size):
    n = data.size(0) // size
    return data.narrow(0, 0, n * size).view(size, -1).t().contiguous()


class RNNModel(nn.Module):
    def __init__(self, ntoken, width, layers):
        super().__init__()
        self.drop = nn.Dropout(0.0)
        self.encoder = nn.Embedding(ntoken, width)
        self.rnn = nn.LSTM(width, width, layers)
        self.decoder = nn.Linear(width, ntoken)
        self.decoder.weight = self.encoder.weight
        self.width, self.layers, self.ntoken = width, layers, ntoken

    def forward(self, input, hidden):
        output, hidden = self.rnn(self.drop(self.encoder(input)), hidden)
        decoded = self.decoder(output).view(-1, self.ntoken)
        return nn.functional.log_softmax(decoded, dim=1), hidden

    def init_hidden(self, size):
        weight = next(self.parameters())
        return weight.new_zeros(self.layers, size, self.width), weight.new_zeros(self.layers, size, self.width)


def repackage_hidden(h):
    return h.detach() if isinstance(h, torch.Tensor) else tuple(repackage_hidden(v) for v in h)


model = RNNModel(len(vocabulary), 16, 2)
rng = np.random.default_rng(1)
with torch.no_grad():
    for p in model.parameters():
        p.copy_(torch.from_numpy(rng.uniform(-0.2, 0.2, tuple(p.shape)).astype(np.float32)))
print(model)
print(len(list(model.parameters())), model.decoder.weight is model.encoder.weight)
source = batchify(ids, batch_size)
criterion = nn.NLLLoss()
lr, best = 5.0, math.inf
for epoch in range(4):
    hidden = model.init_hidden(batch_size)
    total = 0.0
    for i in range(0, source.size(0) - 1, bptt):
        length = min(bptt, len(source) - 1 - i)
        data, targets = source[i : i + length], source[i + 1 : i + 1 + length].view(-1)
        model.zero_grad()
        hidden = repackage_hidden(hidden)
        output, hidden = model(data, hidden)
        loss = criterion(output, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(p.grad, alpha=-lr)
        total += loss.item() * length
    mean = total / (len(source) - 1)
    print(f"epoch {epoch} loss {mean:.4f} ppl {math.exp(mean):.3f} lr {lr}")
    if mean < best - 0.05:
        best = mean
    else:
        lr /= 4.0
model.eval()
with torch.no_grad():
    hidden = model.init_hidden(1)
    token = torch.tensor([[vocabulary["the"]]])
    scores, hidden = model(token, hidden)
print(scores.exp().sum().item(), scores.max().item())
assert best < 3.0
