"""Pre-trained weights: loaded from a file that the user has; nothing is downloaded."""

from __future__ import annotations

import os
from typing import Any

from funcgrad.torch.serialization import load


def load_weights(model: Any, weights: Any, pretrained: Any, name: str, file: str) -> Any:
    """Loads a checkpoint into a model if one is named.

    weights, pretrained: a path to a `.pt`/`.pth` or `.safetensors` file, or None/False. Raises ValueError for True or the
    name of weights, with how to get the file.
    """
    chosen = weights if weights not in (None, False) else pretrained
    if chosen in (None, False):
        return model
    if not isinstance(chosen, (str, os.PathLike)) or not os.path.exists(chosen):
        raise ValueError(
            f"{name}: weights must be the path of a file, got {chosen!r}. funcgrad downloads nothing: get "
            f"torchvision's checkpoint "
            f"{file!r} from https://download.pytorch.org/models/{file} and write {name}(weights='{file}')."
        )
    model.load_state_dict(load(chosen))
    return model
