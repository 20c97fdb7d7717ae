"""The names of all keys, spelled in one place.

All keys of a shard carry the hash tag `{namespace:shard}`, so that on a cluster a shard lives on one node
and every script touches one node only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from jobistemer.core.checks import check_name
from jobistemer.core.jobs.options import HIGHEST_PRIORITY

FRONT = HIGHEST_PRIORITY + 1
"""The priority of the place that is read first in its queue: for runs that a limit held up when their turn had come."""
DAY_MS: Final = 86_400_000
GROUP = "workers"
"""The one consumer group of every stream."""

_KINDS: Final = {
    "zset": "due delayed dead deadlines expected chores cancels holds workers tickers history live queued waiting rate "
    "promised parked questions unknown",
    "set": "streams starts paused closed",
    "hash": "limits job versions backfill occurrence run attempt group results held worker ticker steps suspects "
    "outcomes",
    "list": "audit log changes ended",
    "stream": "stream quarantine",
    "string": "unique identity joined",
}
TYPES: Final = {kind: of_type for of_type, kinds in _KINDS.items() for kind in kinds.split()}
"""The type of each kind of key. It never changes: another type gets another name, so that older processes can tell."""


def type_of(key: str) -> str:
    """Return the type that a key of any shard must have; empty for a key of the application, or of nobody."""
    return TYPES.get(key.partition("}:")[2].partition(":")[0], "")


def settings_key(namespace: str) -> str:
    """Hash: the settings that all processes of a namespace must agree on.

    The number of shards; with several of them `home:<bucket>`, the shard of the jobs of a bucket, which never changes.
    """
    return f"{{{namespace}}}:settings"


def forms_key(namespace: str) -> str:
    """String: the secret by which the dashboards of a namespace know their forms.

    A key of its own, because every role reads the settings.
    """
    return f"{{{namespace}}}:forms"


def place(queue: str, priority: int) -> str:
    """Return the name of a queue and a priority, as records and the set of streams have it."""
    return f"{queue}:{priority}"


def places_of(queue: str) -> list[str]:
    """Return all places of a queue in reading order: its front, then the highest priority first."""
    return [place(queue, priority) for priority in range(FRONT, -1, -1)]


def front_of(place_name: str) -> str:
    """Return the place at the front of the same queue."""
    return place(split_place(place_name)[0], FRONT)


@lru_cache(maxsize=10_000)
def is_front(stream: bytes) -> bool:
    """Return whether a stream is at the front of its queue."""
    return split_place(place_of_stream(stream))[1] == FRONT


def split_place(name: str) -> tuple[str, int]:
    """Return the queue and the priority of a place."""
    queue, _, priority = name.rpartition(":")
    return queue, int(priority)


@lru_cache(maxsize=10_000)
def place_of_stream(stream: bytes) -> str:
    """Return the place in the key of a stream."""
    return stream.rpartition(b":stream:")[2].decode()


def delayed_member(place_name: str, run_id: str) -> str:
    """Return the member of a run in the delayed set: with its place, so that promoting needs no look-up."""
    return f"{place_name}:{run_id}"


def split_delayed_member(member: str) -> tuple[str, str]:
    """Return the place and the run id of a member of the delayed set."""
    place_name, _, run_id = member.rpartition(":")
    return place_name, run_id


def read_delayed_member(member: bytes) -> str:
    """Decode a member of the delayed set. Raises ValueError when it is not a place and a run."""
    text = member.decode()
    place_name, run_id = split_delayed_member(text)
    if not run_id:
        raise ValueError("it names no run")
    read_place(place_name.encode())
    return text


def read_place(name: bytes) -> str:
    """Decode a place. Raises ValueError when it is not a queue and a priority."""
    text = name.decode()
    queue, _, priority = text.rpartition(":")
    if not queue or not (priority.isascii() and priority.isdecimal()) or int(priority) > FRONT:
        raise ValueError(f"it names no queue and priority (0–{FRONT})")
    return text


class Keys:
    """The keys of one shard.

    One method for each kind of key with a name or an id: more methods than other classes may have.
    """

    def __init__(self, namespace: str, shard: int) -> None:
        tag = f"{{{check_name('namespace', namespace)}:{shard}}}"
        self.namespace, self.shard = namespace, shard
        self.tag = tag
        self.due = f"{tag}:due"
        self.delayed = f"{tag}:delayed"
        self.dead = f"{tag}:dead"
        self.deadlines = f"{tag}:deadlines"
        self.streams = f"{tag}:streams"
        self.starts = f"{tag}:starts"
        self.expected = f"{tag}:expected"
        self.chores = f"{tag}:chores"
        self.cancels = f"{tag}:cancels"
        self.paused = f"{tag}:paused"
        self.closed = f"{tag}:closed"
        self.limits = f"{tag}:limits"
        self.holds = f"{tag}:holds"
        self.unknown = f"{tag}:unknown"
        self.joined = f"{tag}:joined"
        # List, on the first shard: the latest thousand changes that people have made.
        self.changes = f"{tag}:changes"
        self.workers = f"{tag}:workers"
        # String: made once; another one says that the server was emptied.
        self.identity = f"{tag}:identity"
        # Hash: worker id -> the beat of a worker that is a suspect, and the ms at which an observer first saw it so.
        self.suspects = f"{tag}:suspects"
        self.tickers = f"{tag}:tickers"
        # Stream: what could not be read and was put aside, the latest thousand.
        self.quarantine = f"{tag}:quarantine"
        # Sorted set: the suspended runs that ask people something, by the ms of their questions.
        self.questions = f"{tag}:questions"
        # Never written. Some calls pass it to a script in place of a key whose content must not count.
        self.nothing = f"{tag}:nothing"
        self.wake = f"{tag}:wake"
        self.outcomes_prefix = f"{tag}:outcomes:"
        self.run_prefix = f"{tag}:run:"
        self.attempt_prefix = f"{tag}:attempt:"
        self._stream = f"{tag}:stream:"
        self._ended = f"{tag}:ended:"
        # The list `ended` of those that succeeded, ready for the commits of bundles.
        self.succeeded = f"{tag}:ended:succeeded"

    def job(self, job_id: str) -> str:
        """Hash: name, version, fingerprint, definition, cursor, pause, the definition that is pending."""
        return f"{self.tag}:job:{job_id}"

    def versions(self, job_id: str) -> str:
        """Hash: the definitions by version, each with the first and the last instant that it decided."""
        return f"{self.tag}:versions:{job_id}"

    def audit(self, job_id: str) -> str:
        """List: the changes of a job with their authors and times; the latest thousand, the last one at its end."""
        return f"{self.tag}:audit:{job_id}"

    def history(self, job_id: str) -> str:
        """Sorted set: occurrence ids by due second."""
        return f"{self.tag}:history:{job_id}"

    def live(self, job_id: str) -> str:
        """Sorted set: occurrences that are neither terminal nor queued."""
        return f"{self.tag}:live:{job_id}"

    def queued(self, job_id: str) -> str:
        """Sorted set: occurrences that wait for an earlier one."""
        return f"{self.tag}:queued:{job_id}"

    def backfill(self, backfill_id: str) -> str:
        """Hash: a backfill and its progress."""
        return f"{self.tag}:backfill:{backfill_id}"

    def occurrence(self, occurrence_id: str) -> str:
        """Hash: one due instant."""
        return f"{self.tag}:occurrence:{occurrence_id}"

    def run(self, run_id: str) -> str:
        """Hash: one task run."""
        return self.run_prefix + run_id

    def attempt(self, attempt_id: str) -> str:
        """Hash: one attempt of a run."""
        return self.attempt_prefix + attempt_id

    def steps(self, run_id: str) -> str:
        """Hash: the records of the steps of a run, by name."""
        return f"{self.tag}:steps:{run_id}"

    def log(self, attempt_id: str) -> str:
        """List: the last lines that an attempt has logged."""
        return f"{self.tag}:log:{attempt_id}"

    def ended(self, state: str) -> str:
        """List: the latest thousand runs that have ended in this state, the last one first."""
        return self._ended + state

    def own(self, name: str) -> str:
        """Any type: a value of the application, written by transactions."""
        return f"{self.tag}:app:{name}"

    def outcomes(self, day: int) -> str:
        """Hash: how many runs ended on a day (since 1970, UTC), by state, queue and task; expires."""
        return f"{self.outcomes_prefix}{day}"

    def stream(self, place_name: str) -> str:
        """Stream: the entries of one queue and priority."""
        return self._stream + place_name

    def group(self, group_id: str) -> str:
        """Hash: the numbers of runs that a group has and that have ended."""
        return f"{self.tag}:group:{group_id}"

    def results(self, group_id: str) -> str:
        """Hash: the results of the runs of a group, by index."""
        return f"{self.tag}:results:{group_id}"

    def unique(self, key: str) -> str:
        """String: the run that holds a unique key."""
        return f"{self.tag}:unique:{key}"

    def held(self, name: str) -> str:
        """Hash: the runs that hold a permit of a limit, each with the place and entry that the permit is for."""
        return f"{self.tag}:held:{name}"

    def waiting(self, name: str) -> str:
        """Sorted set: the runs that wait for a limit, by the time of their entries."""
        return f"{self.tag}:waiting:{name}"

    def rate(self, name: str) -> str:
        """Sorted set: the starts within the period of a rate, by time."""
        return f"{self.tag}:rate:{name}"

    def promised(self, name: str) -> str:
        """Sorted set: the runs that a rate holds up, by the time promised to them."""
        return f"{self.tag}:promised:{name}"

    def parked(self, name: str) -> str:
        """Sorted set: the runs that a hold has put off."""
        return f"{self.tag}:parked:{name}"

    def kept(self, name: str) -> str:
        """Any type: a whole key that was put aside, under the id of its own; expires."""
        return f"{self.tag}:kept:{name}"

    def expected_type(self, key: str) -> str:
        """Return the type that a key of this shard must have; empty for a key of the application, or of nobody."""
        return TYPES.get(key.removeprefix(f"{self.tag}:").partition(":")[0], "") if key.startswith(self.tag) else ""

    def worker(self, worker_id: str) -> str:
        """Hash: the status of a worker, and the command for it."""
        return f"{self.tag}:worker:{worker_id}"

    def ticker(self, ticker_id: str) -> str:
        """Hash: the status of a ticker."""
        return f"{self.tag}:ticker:{ticker_id}"
