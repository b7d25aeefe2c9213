"""`python codegen_process.py FOLDER`: makes object files of the LLVM assembly that comes on standard input; FOLDER has llvmlite.

It is run as a file, so that it loads llvmlite and nothing of this package but `codegen.py`: 0.1 s, where an import of the
package and NumPy would double that. Each message is its length in four bytes and its content; an answer of no content says
that it failed.
"""

from __future__ import annotations

import importlib.util
import os
import struct
import sys
from typing import Any


def main() -> None:
    """Answers until the input ends."""
    sys.path.append(sys.argv[1])
    spec = importlib.util.spec_from_file_location("codegen", os.path.join(os.path.dirname(__file__), "codegen.py"))
    assert spec is not None and spec.loader is not None
    codegen: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(codegen)
    codegen.target_machine()
    while len(head := sys.stdin.buffer.read(4)) == 4:
        text = sys.stdin.buffer.read(struct.unpack("<I", head)[0]).decode()
        try:
            code = codegen.compile_ir(text)
        except Exception:
            code = b""  # whoever asked compiles it again and meets the reason
        sys.stdout.buffer.write(struct.pack("<I", len(code)) + code)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
