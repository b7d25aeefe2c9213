"""Sentence embeddings: texts to unit vectors, by a tokenizer, a BERT encoder and the mean over tokens."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from funcgrad.models.bert import BertModel
from funcgrad.ops.families import LazyModule
from funcgrad.torch import nn
from funcgrad.torch.modes import no_grad
from funcgrad.torch.nn import functional as F
from funcgrad.torch.ops.creation import empty, tensor
from funcgrad.torch.ops.joining import cat
from funcgrad.torch.tensor import Tensor

tokenizers: Any = LazyModule("tokenizers")


def mean_pooling(states: Any, attention_mask: Any) -> Any:
    """The mean of the states (N, T, D) of tokens whose mask (N, T) is not 0: (N, D). A text of no token gives zeros."""
    weight = (attention_mask != 0).to(states.dtype).unsqueeze(-1)
    return (states * weight).sum(1) / weight.sum(1).clamp(min=1e-9)


class SentenceEncoder(nn.Module):
    """A BERT encoder whose states are averaged and scaled to length 1, as sentence-transformers does for MiniLM."""

    def __init__(self, bert: BertModel, tokenizer: Any):
        nn.Module.__init__(self)
        self.bert = bert
        self.tokenizer = tokenizer

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """input_ids and attention_mask, integers (N, T), padded to the longest text; longer ones are cut at the limit."""
        if isinstance(texts, str):
            raise TypeError("texts must be a list of strings, got one string: write [text]")
        if not texts:
            return empty(0, 1).long(), empty(0, 1).long()  # type: ignore[attr-defined]
        coded = self.tokenizer.encode_batch(list(texts))
        return tensor([c.ids for c in coded]), tensor([c.attention_mask for c in coded])

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        """Unit vectors (N, hidden_size)."""
        states = self.bert(input_ids, attention_mask).last_hidden_state
        return F.normalize(mean_pooling(states, attention_mask), dim=-1)

    def encode(self, texts: Sequence[str], batch_size: int = 32) -> Tensor:
        """Unit vectors (N, hidden_size) of texts, batch by batch, without history and without dropout."""
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        ids: Any
        mask: Any
        ids, mask = self.tokenize(texts)
        training = self.training
        self.eval()
        try:
            with no_grad():
                parts = [
                    self(ids[i : i + batch_size], mask[i : i + batch_size]) for i in range(0, len(ids), batch_size)
                ]
        finally:
            self.train(training)
        return cat(parts) if parts else empty(0, self.bert.config.hidden_size)

    @staticmethod
    def from_pretrained(path: str | os.PathLike[str]) -> SentenceEncoder:
        """The encoder of a folder of sentence-transformers with mean pooling: see `BertModel.from_pretrained`.

        Raises ValueError if a file is missing or the model pools otherwise, ImportError without the package tokenizers.
        """
        bert = BertModel.from_pretrained(path)
        pooling = _entries(os.path.join(path, "1_Pooling", "config.json"))
        chosen = [name for name, on in pooling.items() if name.startswith("pooling_mode") and on is True]
        if pooling and chosen != ["pooling_mode_mean_tokens"]:
            raise ValueError(
                f"SentenceEncoder takes the mean over tokens; the model in {os.fspath(path)!r} asks {chosen}"
            )
        limit = _entries(os.path.join(path, "sentence_bert_config.json")).get("max_seq_length")
        encoder = SentenceEncoder(bert, _tokenizer(path, limit or bert.config.max_position_embeddings))
        encoder.eval()
        return encoder


def _entries(path: str) -> dict[str, Any]:
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _tokenizer(path: str | os.PathLike[str], limit: int) -> Any:
    file = os.path.join(path, "tokenizer.json")
    if not os.path.exists(file):
        raise ValueError(
            f"SentenceEncoder needs tokenizer.json in {os.fspath(path)!r}: copy it from the model's folder"
        )
    try:
        tokenizer = tokenizers.Tokenizer.from_file(file)
    except ImportError:
        raise ImportError("reading text needs the package tokenizers: pip install 'funcgrad[text]'.") from None
    tokenizer.enable_truncation(limit)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]") or 0, pad_token="[PAD]")
    return tokenizer
