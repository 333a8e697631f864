"""Read the next images while one is segmented."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

AHEAD = 2
"""Images that wait in memory."""


def read_ahead(read: Callable[[A], B], items: Iterable[A], ahead: int = AHEAD) -> Iterator[tuple[A, Callable[[], B]]]:
    """Yield each item with a function that returns what was read of it, or raises what reading raised.

    Args:
        read: Called in a thread, for at most ``ahead`` items before their turn.
        items: In order. One is taken when its reading begins.

    >>> [(item, found()) for item, found in read_ahead(str, range(3))]
    [(0, '0'), (1, '1'), (2, '2')]
    """
    waiting: deque[tuple[A, Future[B]]] = deque()
    with ThreadPoolExecutor(1) as reader:
        try:
            for item in items:
                waiting.append((item, reader.submit(read, item)))
                if len(waiting) > ahead:
                    first, found = waiting.popleft()
                    yield first, found.result
            while waiting:
                first, found = waiting.popleft()
                yield first, found.result
        finally:
            for _, found in waiting:
                found.cancel()
