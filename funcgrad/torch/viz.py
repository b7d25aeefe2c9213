"""Drawings of the graph behind a tensor: Graphviz DOT text, and SVG without Graphviz."""

from __future__ import annotations

import html
from typing import Any

from funcgrad.torch.node import AccumulateGrad, OperationNode
from funcgrad.torch.saved import Saved
from funcgrad.torch.tensor import Tensor


class GraphDrawing:
    """Nodes and edges of a graph, from results to leaves. `dot` is Graphviz text, `svg` a picture; `save(path)` writes either."""

    def __init__(self, roots: list[Any]):
        self.nodes: list[Any] = []
        self.edges: list[tuple[int, int]] = []
        numbers: dict[Any, int] = {}
        stack = list(roots)
        for node in roots:
            numbers[node] = len(self.nodes)
            self.nodes.append(node)
        while stack:
            node = stack.pop()
            for target, _ in node.next_functions:
                if target is None:
                    continue
                if target not in numbers:
                    numbers[target] = len(self.nodes)
                    self.nodes.append(target)
                    stack.append(target)
                self.edges.append((numbers[node], numbers[target]))

    def labels(self) -> list[list[str]]:
        """The lines of text of each node: its name, and its leaf or what it has saved, with versions."""
        return [_lines(n) for n in self.nodes]

    @property
    def dot(self) -> str:
        """The graph as Graphviz DOT text."""
        lines = ["digraph graph_of_loss {", "  node [shape=box, fontname=monospace];"]
        for i, (node, text) in enumerate(zip(self.nodes, self.labels(), strict=True)):
            fill = ', style=filled, fillcolor="#d5e8d4"' if isinstance(node, AccumulateGrad) else ""
            label = "\\n".join(text).replace('"', "'")
            lines.append(f'  n{i} [label="{label}"{fill}];')
        lines += [f"  n{a} -> n{b};" for a, b in self.edges]
        return "\n".join([*lines, "}"])

    @property
    def svg(self) -> str:
        """The graph as an SVG picture: each node below all that lead to it."""
        depth = [0] * len(self.nodes)
        for _ in range(len(self.nodes)):
            moved = False
            for a, b in self.edges:
                if depth[b] < depth[a] + 1:
                    depth[b] = depth[a] + 1
                    moved = True
            if not moved:
                break
        rows: dict[int, list[int]] = {}
        for i, d in enumerate(depth):
            rows.setdefault(d, []).append(i)
        labels = self.labels()
        width, height = 250, 84
        place = {
            i: (20 + k * (width + 30), 20 + d * (height + 50)) for d, row in rows.items() for k, i in enumerate(row)
        }
        total = (max(x for x, _ in place.values()) + width + 20, max(y for _, y in place.values()) + height + 20)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{total[0]}" height="{total[1]}" '
            'font-family="monospace" font-size="12">',
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path d="M0,0 L8,4 L0,8 z"/>'
            "</marker></defs>",
        ]
        for a, b in self.edges:
            (x1, y1), (x2, y2) = place[a], place[b]
            parts.append(
                f'<line x1="{x1 + width / 2}" y1="{y1 + height}" '
                f'x2="{x2 + width / 2}" y2="{y2}" stroke="black" marker-end="url(#tip)"/>'
            )
        for i, (x, y) in place.items():
            fill = "#d5e8d4" if isinstance(self.nodes[i], AccumulateGrad) else "white"
            parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}" stroke="black"/>')
            for k, line in enumerate(labels[i][:5]):
                parts.append(f'<text x="{x + 8}" y="{y + 18 + 15 * k}">{html.escape(line)}</text>')
        return "\n".join([*parts, "</svg>"])

    def save(self, path: str) -> None:
        """Writes the picture: DOT text for a name that ends in ".dot", else SVG."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.dot if str(path).endswith(".dot") else self.svg)

    def __str__(self) -> str:
        return self.dot


def _lines(node: Any) -> list[str]:
    if isinstance(node, AccumulateGrad):
        return [node.title, f"leaf {list(node.variable.shape)}", f"version {node.variable._counter.value}"]
    lines = [node.title]
    if isinstance(node, OperationNode):
        if node.saved is None:
            return [*lines, "saved tensors freed"]
        for s in node.saved:
            if type(s) is Saved:
                array: Any = s.array if s.tensor is None else s.tensor._array
                shape = "packed" if array is None else list(array.shape)
                what = "output" if s.output >= 0 else "input"
                now = "" if s.counter.value == s.version else f", now {s.counter.value}"
                lines.append(f"saved {what} {shape} v{s.version}{now}")
        if len(node.private):
            lines.append(f"{len(node.private)} private")
    return lines


def graph(*tensors: Tensor) -> GraphDrawing:
    """The graph of tensors that have a history. Raises ValueError for one that has none."""
    roots = []
    for t in tensors:
        if t.grad_fn is None:
            raise ValueError(
                "viz.graph needs a tensor with a grad_fn: a result of operations on tensors that require grad"
            )
        roots.append(t.grad_fn)
    return GraphDrawing(list(dict.fromkeys(roots)))
