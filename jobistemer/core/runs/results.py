"""The results of the runs of a group, in order, read when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

from jobistemer.core.errors import RefusedInput

T = TypeVar("T")

# A stored failure begins with this byte, and no JSON does.
_FAILED = b"!"

CHUNK = 500
"""How many results are read in one round trip."""


class ItemFailure(msgspec.Struct, frozen=True):
    """One run of a group that did not succeed; index is its item's, error has its state and its last error."""

    index: int
    error: str


class Results(Generic[T]):
    """A parameter annotated `Results[T]` of a reducer, or of a task that comes after one that maps.

    Iteration gives the results in the order of the items, without those of failed runs. It may be done more than once,
    and only a few hundred results are in memory at a time. `len` counts all runs of the group. A result that is not of
    type T raises RefusedInput.
    """

    def __init__(
        self, total: int, failed: int, read: Callable[[int, int], list[bytes | None]], decode: Callable[[bytes], T]
    ) -> None:
        self._total = total
        self._read = read
        self._decode = decode
        self.failed = failed

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[T]:
        for _, value in self.indexed():
            yield value

    def indexed(self) -> Iterator[tuple[int, T]]:
        """Iterate over index and result of each run that succeeded.

        Raises RefusedInput for a result that is not of type T.
        """
        for index, stored in self._read_all():
            if not stored.startswith(_FAILED):
                yield index, self._read_result(index, stored)

    def failures(self) -> Iterator[ItemFailure]:
        """Iterate over the runs that did not succeed."""
        for index, stored in self._read_all():
            if stored.startswith(_FAILED):
                yield ItemFailure(index, stored[1:].decode(errors="replace"))

    def page(self, first: int, count: int) -> list[bytes | None]:
        """Return `count` results from index `first` on, in their stored form; None for an expired result."""
        return self._read(first, count)

    def _read_result(self, index: int, stored: bytes) -> T:
        try:
            return self._decode(stored)
        except (msgspec.DecodeError, RecursionError) as error:
            reason = f"result {index} of {self._total} does not fit the annotation Results[…]: {error}"
            raise RefusedInput(reason) from None

    def _read_all(self) -> Iterator[tuple[int, bytes]]:
        for start in range(0, self._total, CHUNK):
            found = self._read(start, min(CHUNK, self._total - start))
            for index, stored in enumerate(found, start):
                yield index, b"!lost: its result has expired" if stored is None else stored
