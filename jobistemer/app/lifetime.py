"""The connections of an app: when they are closed, and how long a call may wait for them."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from jobistemer.core.checks import check_range
from jobistemer.core.errors import InvalidInput
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.deadline import Deadline

LONGEST_DEADLINE_S = 86_400


class Lifetime:
    """An app as a context: `with` and `async with` close its connections at the end."""

    namespace: Namespace

    def close(self) -> None:
        """Close the connections of this process; the next call opens new ones.

        Those of an event loop end with the loop, or by `aclose`. What is left at the end of the program is closed then.
        """
        self.namespace.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and those of the process; the next call opens new ones."""
        await self.namespace.server.aclose()
        self.namespace.close()

    def deadline(self, seconds: float) -> Deadline:
        """Return a context in which each call of this thread or coroutine ends within so many seconds, in all.

        It counts for everything that asks the server, also while the server hangs: `with app.deadline(2): …`. A call
        that has no answer by then raises NotConnected; whether the server has executed it is not known then, and the
        same call, with the same unique key, may be made again. Raises InvalidInput.
        """
        check_range("deadline", seconds, 0.001, LONGEST_DEADLINE_S, InvalidInput)
        return Deadline(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
