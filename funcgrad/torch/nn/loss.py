"""Losses as modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.torch.nn import functional as F
from funcgrad.torch.nn.module import Module
from funcgrad.torch.tensor import Tensor

BUFFERS = ("weight", "pos_weight")


def _loss(name: str, function: Callable[..., Any], doc: str, arguments: int = 2, **defaults: Any) -> Any:
    """A module class with the options of a loss function; tensors among them are buffers."""

    def __init__(self: Any, *args: Any, size_average: Any = None, reduce: Any = None, **kwargs: Any) -> None:
        Module.__init__(self)
        unknown = kwargs.keys() - defaults.keys()
        if unknown or len(args) > len(defaults):
            raise TypeError(f"{name}.__init__() got unexpected arguments {sorted(unknown) or args[len(defaults) :]}")
        values = {**defaults, **dict(zip(defaults, args, strict=False)), **kwargs}
        if size_average is not None or reduce is not None:
            values["reduction"] = F._reduction(size_average, reduce, values["reduction"])
        for key, value in values.items():
            if key in BUFFERS:
                self.register_buffer(key, value)
            else:
                setattr(self, key, value)

    def forward(self: Any, *inputs: Tensor) -> Tensor:
        if len(inputs) != arguments:
            raise TypeError(f"{name}.forward() takes {arguments} tensors, got {len(inputs)}")
        return function(*inputs, **{key: getattr(self, key) for key in defaults})

    return type(name, (Module,), {"__init__": __init__, "forward": forward, "__doc__": doc, "__module__": __name__})


MSELoss = _loss("MSELoss", F.mse_loss, "(x - t)**2.", reduction="mean")
L1Loss = _loss("L1Loss", F.l1_loss, "|x - t|.", reduction="mean")
SmoothL1Loss = _loss(
    "SmoothL1Loss", F.smooth_l1_loss, "Square near 0, absolute value from beta on.", reduction="mean", beta=1.0
)
HuberLoss = _loss("HuberLoss", F.huber_loss, "Square near 0, slope delta from delta on.", reduction="mean", delta=1.0)
BCELoss = _loss(
    "BCELoss", F.binary_cross_entropy, "Binary cross-entropy of probabilities.", weight=None, reduction="mean"
)
BCEWithLogitsLoss = _loss(
    "BCEWithLogitsLoss",
    F.binary_cross_entropy_with_logits,
    "Binary cross-entropy of sigmoid(x).",
    weight=None,
    reduction="mean",
    pos_weight=None,
)
NLLLoss = _loss("NLLLoss", F.nll_loss, "-x[t] of log-probabilities.", weight=None, ignore_index=-100, reduction="mean")
NLLLoss2d = NLLLoss
CrossEntropyLoss = _loss(
    "CrossEntropyLoss",
    F.cross_entropy,
    "NLLLoss of log_softmax.",
    weight=None,
    ignore_index=-100,
    reduction="mean",
    label_smoothing=0.0,
)
KLDivLoss = _loss("KLDivLoss", F.kl_div, "t * (log t - x) of log-probabilities.", reduction="mean", log_target=False)
PoissonNLLLoss = _loss(
    "PoissonNLLLoss",
    F.poisson_nll_loss,
    "The negative log-likelihood of Poisson counts.",
    log_input=True,
    full=False,
    eps=1e-8,
    reduction="mean",
)
GaussianNLLLoss = _loss(
    "GaussianNLLLoss",
    F.gaussian_nll_loss,
    "The negative log-likelihood of a normal distribution.",
    3,
    full=False,
    eps=1e-6,
    reduction="mean",
)
HingeEmbeddingLoss = _loss(
    "HingeEmbeddingLoss",
    F.hinge_embedding_loss,
    "Distances near for 1, beyond a margin for -1.",
    margin=1.0,
    reduction="mean",
)
MarginRankingLoss = _loss(
    "MarginRankingLoss", F.margin_ranking_loss, "max(0, -t (x1 - x2) + margin).", 3, margin=0.0, reduction="mean"
)
SoftMarginLoss = _loss("SoftMarginLoss", F.soft_margin_loss, "log(1 + exp(-t x)).", reduction="mean")
MultiMarginLoss = _loss(
    "MultiMarginLoss",
    F.multi_margin_loss,
    "Hinge losses against all other classes.",
    p=1,
    margin=1.0,
    weight=None,
    reduction="mean",
)
MultiLabelMarginLoss = _loss(
    "MultiLabelMarginLoss", F.multilabel_margin_loss, "Hinge losses between labels and others.", reduction="mean"
)
MultiLabelSoftMarginLoss = _loss(
    "MultiLabelSoftMarginLoss",
    F.multilabel_soft_margin_loss,
    "Binary cross-entropies of all labels.",
    weight=None,
    reduction="mean",
)
CosineEmbeddingLoss = _loss(
    "CosineEmbeddingLoss",
    F.cosine_embedding_loss,
    "1 - cosine for 1, beyond a margin for -1.",
    3,
    margin=0.0,
    reduction="mean",
)
TripletMarginLoss = _loss(
    "TripletMarginLoss",
    F.triplet_margin_loss,
    "max(0, d(a, p) - d(a, n) + margin).",
    3,
    margin=1.0,
    p=2.0,
    eps=1e-6,
    swap=False,
    reduction="mean",
)


class TripletMarginWithDistanceLoss(Module):
    """TripletMarginLoss with any distance function. Raises ValueError for a margin that is not positive."""

    def __init__(
        self, *, distance_function: Any = None, margin: float = 1.0, swap: bool = False, reduction: str = "mean"
    ):
        Module.__init__(self)
        if margin <= 0:
            raise ValueError(
                f"TripletMarginWithDistanceLoss: expected margin to be greater than 0, got {margin} instead"
            )
        self.distance_function = F.pairwise_distance if distance_function is None else distance_function
        self.margin, self.swap, self.reduction = margin, swap, reduction

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor, positive, negative, distance_function=self.distance_function, margin=self.margin, swap=self.swap,
            reduction=self.reduction,
        )  # fmt: skip


class CTCLoss(Module):
    """Connectionist temporal classification: forward(log_probs, targets, input_lengths, target_lengths)."""

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False):
        Module.__init__(self)
        self.blank, self.reduction, self.zero_infinity = blank, reduction, zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
