"""The error about a job that is not registered: it names the jobs whose names are near."""

from __future__ import annotations

from typing import Final

from jobistemer.core.checks import show, suggest
from jobistemer.core.errors import UnknownJob
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads.job_names import find_names
from jobistemer.store.reads.jobs import count_jobs

MAX_COMPARED: Final = 10_000
"""In a namespace with more jobs the names are not compared: each of them would be read."""


def build_unknown_job(namespace: Namespace, name: str) -> UnknownJob:
    """Build the error for a job that is not registered. Reads the names of all jobs."""
    few = count_jobs(namespace.shards) <= MAX_COMPARED
    known = [each for shard in namespace.shards for each in find_names(shard)] if few else []
    hint = suggest(name, known) or "deploy it first"
    return UnknownJob(f"no job {show(name)} is registered in namespace {namespace.name!r}; {hint}")
