"""DataLoader: batches of a dataset, made by this thread or by worker threads ahead of time.

Workers are threads: NumPy and our own kernels run without the interpreter's lock, and nothing has to be copied between processes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from funcgrad.torch.ops.creation import as_tensor, tensor
from funcgrad.torch.ops.joining import stack
from funcgrad.torch.tensor import Tensor
from funcgrad.torch.utils.data.dataset import IterableDataset
from funcgrad.torch.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler

_local = threading.local()


@dataclass
class WorkerInfo:
    """Which worker this thread is."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


def get_worker_info() -> WorkerInfo | None:
    """The worker that this thread is; None in the main thread."""
    return getattr(_local, "info", None)


def default_collate(batch: list[Any]) -> Any:
    """A list of examples as one batch: tensors stacked, numbers as tensors, containers by their parts."""
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(batch, 0)
    if isinstance(first, np.ndarray):
        return stack([as_tensor(b) for b in batch], 0)
    if isinstance(first, (bool, int, float, np.generic)):
        return tensor(np.asarray(batch)) if isinstance(first, (float, np.generic)) else tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return {k: default_collate([b[k] for b in batch]) for k in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(list(part)) for part in zip(*batch, strict=True)))
    if isinstance(first, (tuple, list)):
        if any(len(b) != len(first) for b in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        parts = [default_collate(list(part)) for part in zip(*batch, strict=True)]
        return parts if isinstance(first, list) else list(parts)
    raise TypeError(
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found "
        f"{type(first)}; pass collate_fn="
    )


class DataLoader:
    """Batches of a dataset: `for x, y in DataLoader(data, batch_size=32, shuffle=True)`."""

    def __init__(self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None, sampler: Any = None,
                 batch_sampler: Any = None, num_workers: int = 0, collate_fn: Callable[[list[Any]], Any] | None = None,
                 pin_memory: bool = False, drop_last: bool = False, timeout: float = 0, worker_init_fn: Any = None,
                 multiprocessing_context: Any = None, generator: Any = None, *, prefetch_factor: int | None = None,
                 persistent_workers: bool = False, pin_memory_device: str = "", in_order: bool = True):  # fmt: skip
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if prefetch_factor is not None and num_workers == 0:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing. let num_workers > 0 to enable it."
            )
        streams = isinstance(dataset, IterableDataset)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
            )
        if streams and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle={shuffle}"
            )
        self.dataset, self.num_workers, self.drop_last, self.generator = dataset, num_workers, drop_last, generator
        self.timeout, self.worker_init_fn = timeout, worker_init_fn
        self.prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self.batch_size = None if batch_sampler is not None else batch_size
        self.collate_fn = collate_fn or (default_collate if batch_size is not None else lambda x: x)
        if not streams:
            chosen = sampler or (RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset))
            self.sampler = chosen
            self.batch_sampler = batch_sampler or (
                None if batch_size is None else BatchSampler(chosen, batch_size, drop_last)
            )

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            n = len(self.dataset)  # type: ignore[arg-type]
            return (
                n if self.batch_size is None else n // self.batch_size if self.drop_last else -(-n // self.batch_size)
            )
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.dataset, IterableDataset):
            return self._stream()
        jobs = iter(self.sampler if self.batch_sampler is None else self.batch_sampler)
        return (self._made(job) for job in jobs) if self.num_workers == 0 else self._ahead(jobs)

    def _stream(self) -> Iterator[Any]:
        examples = iter(self.dataset)
        if self.batch_size is None:
            yield from (self.collate_fn(e) for e in examples)
            return
        while batch := list(islice(examples, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield self.collate_fn(batch)

    def _made(self, job: Any) -> Any:
        if self.batch_sampler is None:
            return self.collate_fn(self.dataset[job])
        gather = getattr(self.dataset, "__getitems__", None)
        return self.collate_fn(gather(job) if gather is not None else [self.dataset[i] for i in job])

    def _ahead(self, jobs: Iterator[Any]) -> Iterator[Any]:
        """Batches in order, made by workers up to `prefetch_factor` each ahead."""
        numbers = iter(range(self.num_workers))

        def begin() -> None:
            i = next(numbers)
            _local.info = WorkerInfo(i, self.num_workers, i, self.dataset)
            if self.worker_init_fn is not None:
                self.worker_init_fn(i)

        pool = ThreadPoolExecutor(self.num_workers, "funcgrad-loader", initializer=begin)
        waiting: deque[Future[Any]] = deque()
        try:
            for job in islice(jobs, self.num_workers * self.prefetch_factor):
                waiting.append(pool.submit(self._made, job))
            while waiting:
                batch = waiting.popleft().result(self.timeout or None)
                following = next(jobs, None)
                if following is not None:
                    waiting.append(pool.submit(self._made, following))
                yield batch
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
