"""Work on a long line of elements in blocks whose temporaries stay in a core's cache, on several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Some twenty temporaries of 8 bytes an element beside one another: about a core's second-level cache.
BLOCK = 5120


def in_blocks(work: Callable[[slice], None], count: int, *, block: int = BLOCK, workers: int = 1) -> None:
    """Call ``work`` for consecutive slices that cover ``count`` elements.

    Parameters
    ----------
    work : callable
        Handles one slice; NumPy releases the interpreter's lock inside, so that threads run side by side. It must write
        to its own elements only: then the result does not depend on the number of threads.
    count : int
    block : int
        Elements of a slice.
    workers : int
        Threads; 1 calls ``work`` directly.
    """
    parts = [slice(start, min(start + block, count)) for start in range(0, count, block)]
    if workers == 1 or len(parts) < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(workers) as pool:
        for finished in pool.map(work, parts):
            del finished
