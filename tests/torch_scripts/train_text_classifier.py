"""Texts classified by an EmbeddingBag, a packed GRU and a TransformerEncoder with padding masks, from words carried here."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

TOLERANCE = 2e-3  # losses after some twenty steps in single precision
TEXTS = [
    ("the soup was warm and the bread was fresh", 0),
    ("a fine meal with friends", 0),
    ("the waiter brought cold soup", 0),
    ("bread cheese and a glass of wine", 0),
    ("the engine would not start in the cold", 1),
    ("new tyres and a clean engine", 1),
    ("the car was fast and the road was dry", 1),
    ("a long road with no petrol", 1),
    ("the band played loud and long", 2),
    ("a quiet song with a fine voice", 2),
    ("the drums were fast", 2),
    ("new strings for the old guitar and a song", 2),
]
words = sorted({w for text, _ in TEXTS for w in text.split()})
vocabulary = {w: i + 1 for i, w in enumerate(words)}
samples = [(torch.tensor([vocabulary[w] for w in text.split()]), label) for text, label in TEXTS]


def filled(module, seed):
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in module.parameters():
            draw = torch.from_numpy(rng.normal(size=tuple(p.shape)).astype(np.float32))
            p.copy_(draw * (0.3 if p.dim() > 1 else 0.05))
    return module


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(len(words) + 1, 8, mode="mean"), nn.Linear(8, 3)

    def forward(self, flat, offsets):
        return self.head(self.bag(flat, offsets))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(words) + 1, 8, padding_idx=0)
        self.gru = nn.GRU(8, 6, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 3)

    def forward(self, padded, lengths):
        packed = pack_padded_sequence(self.embed(padded), lengths, batch_first=True, enforce_sorted=False)
        out, last = self.gru(packed)
        states, sizes = pad_packed_sequence(out, batch_first=True)
        assert sizes.equal(lengths) and states.shape[1] == lengths.max()
        return self.head(torch.cat([last[0], last[1]], dim=1))


class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(words) + 1, 8, padding_idx=0)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, activation="gelu", norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8), enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, padded, lengths):
        hidden = self.encoder(self.embed(padded), src_key_padding_mask=padded == 0)
        keep = (padded != 0).unsqueeze(-1)
        return self.head((hidden * keep).sum(1) / lengths.unsqueeze(1))


def flat_batch(batch):
    ids, labels = zip(*batch, strict=True)
    lengths = torch.tensor([0] + [len(i) for i in ids[:-1]])
    return torch.cat(ids), lengths.cumsum(0), torch.tensor(labels)


def padded_batch(batch):
    ids, labels = zip(*batch, strict=True)
    return pad_sequence(ids, batch_first=True), torch.tensor([len(i) for i in ids]), torch.tensor(labels)


for number, (kind, collate) in enumerate([(Bag, flat_batch), (Recurrent, padded_batch), (Attentive, padded_batch)]):
    model = filled(kind(), number)
    if kind is Bag:
        print(model)
    loader = DataLoader(samples[::3] + samples[1::3] + samples[2::3], batch_size=4, collate_fn=collate)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    losses = []
    for _ in range(12):
        total = 0.0
        for first, second, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(first, second), labels, label_smoothing=0.05)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
        losses.append(total / len(loader))
    model.eval()
    with torch.no_grad():
        first, second, labels = collate(samples)
        scores = model(first, second).softmax(1)
    print(kind.__name__, [f"{v:.4f}" for v in losses], scores[0])
    print(scores.argmax(1).tolist(), sum(p.numel() for p in model.parameters()))
    assert losses[-1] < losses[0]
