"""Many runs at run time and one that sums them up; and a job whose tasks form a graph.

jobistemer dev workers.parallel:app
jobistemer enqueue count_primes '{"below": 20000}'
"""

from __future__ import annotations

from jobistemer import Concurrency, Context, Jobistemer, Results

app = Jobistemer()
STEP = 1_000


# At most four at a time in the whole cluster, however many workers there are.
@app.task(limits=[Concurrency(4)])
def count_in(first: int, last: int) -> int:
    """Count the primes in a range."""
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(max(first, 2), last))


@app.task
def add_up(results: Results[int]) -> int:
    """Called once, with the results of all runs, in order."""
    total = sum(results)
    print(f"{total} primes, found by {len(results)} runs", flush=True)
    return total


@app.task
def count_primes(context: Context, below: int) -> str:
    """Make a run for each thousand numbers. Returns the id of the run that sums them up."""
    ranges = ({"first": first, "last": min(first + STEP, below)} for first in range(0, below, STEP))
    return context.map(count_in, ranges, reduce=add_up)


prepare = app.job("*/10 * * * * *", name="prepare")


@prepare.task
def extract() -> list[int]:
    """The first task of the graph."""
    return [3, 1, 2]


@prepare.task(after=[extract])
def largest(extract: list[int]) -> int:
    """Runs beside `total`: a parameter with the name of a task gets its result."""
    return max(extract)


@prepare.task(after=[extract])
def total(extract: list[int]) -> int:
    """Runs beside `largest`."""
    return sum(extract)


@prepare.task(after=[largest, total])
def publish(largest: int, total: int) -> str:
    """Runs when both have succeeded."""
    return f"largest {largest}, total {total}"
