"""Pages of the registered jobs by name, for namespaces with thousands of jobs."""

from __future__ import annotations

import msgspec

from jobistemer.core.checks import check_whole, show
from jobistemer.core.errors import InvalidInput
from jobistemer.core.reads.summaries import JobSummary
from jobistemer.runtime.offload import twin
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.job_names import find_names, read_named

MAX_PAGE = 10_000


class JobPage(msgspec.Struct, frozen=True):
    """A page of jobs in the order of their names.

    total: how many jobs have the prefix. next: the name to go on after, empty on the last page. before: how many of
    them stand on the pages before.
    """

    jobs: tuple[JobSummary, ...]
    total: int
    next: str
    before: int = 0


class JobPages:
    """The registered jobs of a namespace, page by page."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def list(self, prefix: str = "", *, limit: int = 100, after: str = "") -> JobPage:
        """Return a page of the jobs whose names begin with `prefix`, in the order of their names.

        limit: 1–10,000. after: the name that the page before ends with, which is its `next`.
        Each page reads the names of all jobs of the namespace. Raises InvalidInput.
        """
        check_whole("limit", limit, 1, MAX_PAGE, InvalidInput)
        for field, value in (("prefix", prefix), ("after", after)):
            if not isinstance(value, str):
                raise InvalidInput(f"{field} is {show(value)}, allowed is a text")
        shards = self._namespace.shards
        found = sorted(name for shard in shards for name in find_names(shard) if name.startswith(prefix))
        rest = [name for name in found if name > after]
        page = rest[:limit]
        summaries = read_named(self._namespace, page)
        onward = page[-1] if len(rest) > limit else ""
        return JobPage(tuple(summaries), len(found), onward, len(found) - len(rest))

    list_async = twin(list)  # noqa: A003 - the method of this class is meant
