"""MobileNetV2 (Sandler et al., 2018), with torchvision's names of layers."""

from __future__ import annotations

from typing import Any

from funcgrad.models.weights import load_weights
from funcgrad.torch import nn
from funcgrad.torch.ops.shapes import flatten

PLAN = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]]


def _make_divisible(v: float, divisor: int = 8) -> int:
    new = max(divisor, int(v + divisor / 2) // divisor * divisor)
    return new + divisor if new < 0.9 * v else new


class Conv2dNormActivation(nn.Sequential):
    """A convolution, a batch norm and ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int = 3, stride: int = 1, groups: int = 1):
        nn.Sequential.__init__(
            self, nn.Conv2d(inputs, outputs, kernel_size, stride, (kernel_size - 1) // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True),
        )  # fmt: skip


class InvertedResidual(nn.Module):
    """A wide depthwise convolution between two 1x1 ones, with a residual connection where the shape allows it."""

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int):
        nn.Module.__init__(self)
        hidden = round(inp * expand_ratio)
        self.use_res_connect = stride == 1 and inp == oup
        layers: list[Any] = [] if expand_ratio == 1 else [Conv2dNormActivation(inp, hidden, 1)]
        layers += [
            Conv2dNormActivation(hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, oup, 1, bias=False),
            nn.BatchNorm2d(oup),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """Inverted residuals, the mean over space, and a linear head. Input (N, 3, H, W), output (N, num_classes)."""

    def __init__(self, num_classes: int = 1000, width_mult: float = 1.0, round_nearest: int = 8, dropout: float = 0.2):
        nn.Module.__init__(self)
        channels = _make_divisible(32 * width_mult, round_nearest)
        self.last_channel = _make_divisible(1280 * max(1.0, width_mult), round_nearest)
        features: list[Any] = [Conv2dNormActivation(3, channels, stride=2)]
        for t, c, n, s in PLAN:
            out = _make_divisible(c * width_mult, round_nearest)
            for i in range(n):
                features.append(InvertedResidual(channels, out, s if i == 0 else 1, t))
                channels = out
        features.append(Conv2dNormActivation(channels, self.last_channel, 1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.last_channel, num_classes))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")
            elif isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, 0, 0.01)
                nn.init.zeros_(m.bias)

    def forward(self, x: Any) -> Any:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(flatten(x, 1))


def mobilenet_v2(*, weights: Any = None, progress: bool = True, pretrained: Any = None, **kwargs: Any) -> MobileNetV2:
    """MobileNetV2. weights: the path of a checkpoint; see `load_weights`. progress is torchvision's, for downloads."""
    return load_weights(MobileNetV2(**kwargs), weights, pretrained, "mobilenet_v2", "mobilenet_v2-b0353104.pth")
