"""The words of docs/benchmarks.md around its tables."""

FOREWORD = """
# Figures

This page is made from stored results by `benchmarks/peers/page.py`. `make bench-peers` installs every peer in an environment of its own
under `.bench/`, has each do the same work on the same kind of server, one after another in rounds, and stores each row as it comes;
the same command goes on where it stopped. Figures are medians over the rounds, with the least and the most in brackets. What is
bad for us stays.

How it is measured, for all alike:

- Each measurement has a fresh server. Worker, producer and server are processes of their own, started as their documentation says.
  CPU is user and system time of all of a worker's processes, ended children included, and `INFO cpu` of the server.
- *Two cores*: the server is pinned to one core and everything else to the other. *One core*: all share one. *Free*: not pinned.
- A backlog is stored while no worker runs. The clock starts when 15 % of it are done, so that no start of a process is in it, and ends
  when nothing is waiting or in flight any more (asked fifty times a second).
- One worker process means one, also where a default would start one for each core. Each peer drains about as long as the others, so
  slow ones get fewer runs.
- Lateness of a schedule is from the due second to the first line of its task, with one worker (tuned) running. It is read off
  the clock's fraction of a second, so somebody who is later than a second shows in the share that started. *Fired* counts what the
  scheduler stored or ran in the window, *started* what the one worker began; where fewer than 80 % began there is no lateness, because
  it grows with each second. celery's schedules begin
  anywhere in a second: theirs is counted from the earliest phase that each showed.
- We run with our defaults in every row: full records of each run and each attempt, at least once.
"""

AFTERWORD = """
## What to make of it

Machines differ and are noisy; two runs of this page on one machine differ by a tenth. CPU per run differs least. Peers that give no
row for schedules either have none (dramatiq) or none finer than a minute (huey). dramatiq, huey and rq acknowledge or pop one by one;
what is fast there is so at another price, which the table of guarantees names.

## How to repeat it

    make bench-peers                                    # everything, within half an hour; run it again to go on
    python -m benchmarks.peers --quick                  # a short look at everything
    python -m benchmarks.peers --only rq huey --work drain
    python -m benchmarks.peers --server valkey          # the embedded server instead of the machine's redis-server
    python -m benchmarks.peers.page                     # this page from .bench/results.jsonl

The rows that this page was made from are in `benchmarks/peers/rows/`. Needed beside Python: `taskset`, and for BullMQ `node` and `npm`. The steps of one peer are in its file in `benchmarks/peers/adapters/`.

## Our own figures

`make bench` prints them: `benchmarks/drain.py` (throughput, CPU and memory) and `benchmarks/latency.py` (latency and the cost of
idling), each against an embedded Valkey on loopback, without persistence. `benchmarks/enqueue.py`, `benchmarks/due.py` and
`benchmarks/bench_schedules.py` measure enqueueing, tickers without workers, and the computing of instants.

`python benchmarks/recovery.py` makes an outage of 10,000 instants of one job and has it worked off at a set rate, while fifty other jobs
are due every second. On two shared cores with two tickers and one worker, at 500 a second: 10,000 rows and completions in 20.5 s
(489 a second), and the fifty jobs fired 8 ms late at the 99th percentile and at the most.
"""
