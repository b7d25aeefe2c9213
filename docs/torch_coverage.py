"""Writes docs/torch_coverage.md: which of PyTorch's public Tensor methods and `torch` functions funcgrad.torch has.

`python docs/torch_coverage.py` compares docs/torch_names.txt with funcgrad.torch; with `--names` it first takes the names from
the PyTorch that is installed.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import types
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMES, PAGE = HERE / "torch_names.txt", HERE / "torch_coverage.md"
VERSION = "2.13"

REASONS = [
    ("sparse tensors", r"sparse|coalesce|^c?col_indices|^c?row_indices|crow|ccol|^indices$|^indices_copy|^values|"
                       r"_?smm$|spmm|saddmm|^dsmm|^hsmm|hspmm|sspaddmm|to_dense|dense_dim|to_padded_tensor"),
    ("quantised numbers", r"quant|^q_|qscheme|int_repr|fbgemm|fake_|moving_avg_obs|choose_qparams"),
    ("kernels of one vendor or device", r"cudnn|miopen|mkldnn|mps|xpu|ipu|xla|maia|mtia|vulkan|cuda|record_stream|pin_memory"),
    ("mixed precision by context (autocast)", r"autocast"),
    ("scripting, tracing and symbolic shapes", r"^sym_|import_ir|parse_|merge_type|unify_type|^fork$|^wait$|^compiled_with|"
                                               r"_type_list|while_loop|^script|classproperty"),
    ("halves of steps, used by other libraries' backward passes",
     r"^native_|^batch_norm_|_backward_|affine_grid_generator|slice_inverse"),
    ("removed from PyTorch: they raise an error there", r"^symeig$|^eig$|^solve$|^lstsq$|^volatile$"),
    ("other processes and files of memory", r"share_memory|from_file|multiprocessing|shared|^init_num_threads|get_file_path|"
                                            r"prepare_multi|storage_type|default_tensor_type"),
    ("bfloat16, complex32 and other types that NumPy has not", r"bfloat16|chalf|complex32"),
    ("PyTorch's own interior", r"thread_safe_generator|sym_constrain|^get_device_module|reinforce|as_subclass|module_load|"
                               r"hash_tensor|^name$|names$|rename|refine|align_"),
]  # fmt: skip


def installed() -> dict[str, list[str]]:
    """The public names of the PyTorch that is installed."""
    torch: Any = importlib.import_module("torch")
    functions = [n for n in sorted(dir(torch)) if not n.startswith("_") and _is_function(getattr(torch, n))]
    return {"torch": functions, "Tensor": [n for n in sorted(dir(torch.Tensor)) if not n.startswith("_")]}


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, types.ModuleType) and not inspect.isclass(value)


def kept() -> dict[str, list[str]]:
    """The names of docs/torch_names.txt."""
    found: dict[str, list[str]] = {}
    for line in NAMES.read_text().splitlines():
        if line.startswith("# "):
            here = found.setdefault(line[2:], [])
        elif line:
            here.append(line)
    return found


def page(names: dict[str, list[str]]) -> str:
    """The text of the page."""
    torch: Any = importlib.import_module("funcgrad.torch")
    importlib.import_module("funcgrad.torch.nn")
    lines = [
        "# PyTorch's functions and methods", "",
        f"Every public function of `torch` and method or attribute of `Tensor` in PyTorch {VERSION}, and whether "
        "`funcgrad.torch` has it. Written by `python docs/torch_coverage.py`; a test keeps it true.", "",
    ]  # fmt: skip
    for title, owner in (("torch", torch), ("Tensor", torch.Tensor)):
        have = [n for n in names[title] if hasattr(owner, n)]
        missing = [n for n in names[title] if not hasattr(owner, n)]
        lines += [f"## `{title}`: {len(have)} of {len(names[title])}", "", "Yes:", "", _listed(have), "", "No:", ""]
        rest = missing
        for reason, pattern in REASONS:
            here = [n for n in rest if re.search(pattern, n)]
            rest = [n for n in rest if n not in here]
            if here:
                lines.append(f"- {reason}: {_listed(here)}")
        if rest:
            lines.append(f"- not written yet: {_listed(rest)}")
        lines.append("")
    return "\n".join(lines)


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{n}`" for n in names)


def main() -> None:
    """Writes the page, and the names first if asked to."""
    if "--names" in sys.argv:
        NAMES.write_text("".join(f"# {k}\n" + "\n".join(v) + "\n\n" for k, v in installed().items()))
    PAGE.write_text(page(kept()))


if __name__ == "__main__":
    main()
