"""Trains a classifier on scikit-learn's 1,797 handwritten digits in one compiled call: epochs, shuffling, batches, validation.

A `scan` over epochs holds a `scan` over batches; between them no Python runs but the progress bar's, a hundred times at most.
Run after the README's first command.
"""

import argparse
import itertools
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax, nn, optim, random

SIZES = (64, 128, 64, 10)


def init(key):
    """He-initialised layers in float32: a list of dicts of weights (in, out) and biases (out,)."""
    keys = random.split(key, len(SIZES) - 1)
    return [
        {"w": nn.initializers.he_normal()(k, shape, np.float32), "b": jnp.zeros(shape[1], np.float32)}
        for k, shape in zip(keys, itertools.pairwise(SIZES), strict=True)
    ]


def logits(params, x):
    """Unnormalised class scores of images (n, 64): shape (n, 10)."""
    for layer in params[:-1]:
        x = nn.relu(x @ layer["w"] + layer["b"])
    return x @ params[-1]["w"] + params[-1]["b"]


def loss(params, x, y):
    """Mean cross-entropy of the scores of images (n, 64) and their digits, one-hot (n, 10)."""
    return -jnp.mean(jnp.sum(y * nn.log_softmax(logits(params, x)), axis=1))


def accuracy(params, x, digits):
    """The share of the images (n, 64) that are read as their digits (n,)."""
    return jnp.mean(jnp.argmax(logits(params, x), axis=1) == digits)


def make_training(optimizer, epochs, batch):
    """The whole training as one jitted function of (key, x, y, x_test, digits_test); y is one-hot.

    It returns the parameters, and each epoch's mean loss and held-out accuracy: shapes (epochs,) both.
    """

    def step(carry, data):
        params, state = carry
        value, slope = fg.value_and_grad(loss)(params, *data)
        updates, state = optimizer.update(slope, state, params)
        return (optim.apply_updates(params, updates), state), value

    @fg.jit
    def train(key, x, y, x_test, digits_test):
        batches = len(x) // batch

        def epoch(carry, key):
            order = random.permutation(key, len(x))[: batches * batch]  # another remainder is left out in each epoch
            shuffled = [a[order].reshape(batches, batch, -1) for a in (x, y)]
            carry, values = lax.scan(step, carry, shuffled)
            return carry, (jnp.mean(values), accuracy(carry[0], x_test, digits_test))

        params = init(key)
        keys = random.split(random.fold_in(key, 1), epochs)
        (params, _), history = fg.progress(lax.scan, "epochs")(epoch, (params, optimizer.init(params)), keys)
        return params, history

    return train


def positive(text):
    """An integer of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1 epoch is needed, got {value}")
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=positive, default=60, help="passes over the data (default: %(default)s)")
    epochs = parser.parse_args().epochs
    digits = load_digits()
    x, x_test, y, y_test = train_test_split(
        np.float32(digits.data / 16), digits.target, test_size=0.2, random_state=0, stratify=digits.target
    )
    batch = 32
    steps = epochs * (len(x) // batch)
    rate = optim.warmup_cosine_decay_schedule(0.0, 3e-3, steps // 10, steps)
    optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(rate, weight_decay=0.02))
    train = make_training(optimizer, epochs, batch)
    begin = time.perf_counter()
    params, (losses, accuracies) = train(random.key(0), x, np.eye(10, dtype=np.float32)[y], x_test, y_test)
    seconds = time.perf_counter() - begin
    print(
        f"{epochs} epochs, {steps} steps in one call: {seconds:.1f} s, compilation included; last loss {float(losses[-1]):.4f}"
    )
    print(
        f"held out {len(x_test)}: {float(accuracies[-1]):.1%} read right, {float(accuracies[0]):.1%} after the first epoch"
    )
    read = np.asarray(fg.jit(logits)(params, x_test)).argmax(axis=1)
    print("misread: " + (", ".join(f"{a} as {b}" for a, b in zip(y_test, read, strict=True) if a != b) or "none"))


if __name__ == "__main__":
    main()
