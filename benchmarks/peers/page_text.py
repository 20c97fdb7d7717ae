"""The words of docs/benchmarks.md around its tables."""

FOREWORD = """
# Figures

`benchmarks/peers/page.py` makes this page from stored results. `make bench-peers` installs every peer in an environment of its own
under `.bench/`, lets each do the same work on the same kind of server, one after another in rounds, and stores each row as it comes.
If the command is stopped, the same command continues there. Figures are medians over the rounds, with the least and the most in brackets.
Figures that are bad for us stay.

The method is the same for all:

- Each measurement has a fresh server. Worker, producer and server are processes of their own, started as their documentation says.
  CPU of a worker is the user and system time of all of its processes, ended children included. CPU of the server is its `INFO cpu`.
- *Two cores*: the server is pinned to one core and all other processes to the other. *One core*: all share one. *Free*: not pinned.
- A backlog is stored while no worker runs. The measurement starts when 15 % of it are done, so that it includes no start of a process, and
  ends when no run is waiting or in flight any more (checked fifty times a second).
- One worker process means one, also where a default would start one for each core. Each peer drains about as long as the others, so
  slow peers get fewer runs.
- Lateness of a schedule is the time from the due second to the first line of its task, with one worker (tuned) running. It is the
  clock's fraction of a second. So a lateness of more than a second shows only in the share that started. *Fired* counts the runs that the
  scheduler stored or ran in the window, *started* counts the runs that the one worker began. Where fewer than 80 % began, the table has no
  lateness, because it grows with each second. celery's schedules begin anywhere in a second: their lateness counts from the earliest phase
  that each showed. Jobistemer stores the runs of an instant up to 0.35 s before it, so some of *fired* may belong to the instant after the window: of 10,000, a third in three seconds.
- Jobistemer runs with its defaults in every row: full records of each run and each attempt, at least once.
"""

AFTERWORD = """
## How to read the figures

Machines differ and are noisy; two runs of this page on one machine differ by a tenth. CPU per run differs least. Peers without a
row for schedules have no schedules (dramatiq) or none finer than a minute (huey). dramatiq, huey and rq acknowledge or pop one by one;
their speed has another price, which the table of guarantees names.

## How to repeat it

    make bench-peers                                    # everything, within half an hour; run it again to continue
    python -m benchmarks.peers --quick                  # a short look at everything
    python -m benchmarks.peers --only rq huey --work drain
    python -m benchmarks.peers --server valkey          # the embedded server instead of the machine's redis-server
    python -m benchmarks.peers.page                     # this page from .bench/results.jsonl

The rows that this page was made from are in `benchmarks/peers/rows/`. Beside Python
you need `taskset`, and for BullMQ `node` and `npm`. The steps of one peer are in its file in `benchmarks/peers/adapters/`.

## Our own figures

`make bench` prints them: `benchmarks/drain.py` (throughput, CPU and memory) and `benchmarks/latency.py` (latency and the cost of
idling), each against an embedded Valkey on loopback, without persistence. `benchmarks/enqueue.py`, `benchmarks/due.py` and
`benchmarks/bench_schedules.py` measure enqueueing, tickers without workers, and the computation of instants.

`python benchmarks/recovery.py` makes an outage of 10,000 instants of one job and recovers it at a set rate, while fifty other jobs
are due every second. On two shared cores with two tickers and one worker, at 500 a second: 10,000 rows and completions in 20.5 s
(489 a second), and the fifty jobs fired 8 ms late at the 99th percentile and at the most.

`python benchmarks/due.py --start --sketch` takes lateness at the first line of the task, with three tickers and one worker, beside a sketch that
only moves marks and makes entries. Here all processes and the server shared two cores, with nothing else allowed before them: 100 jobs
every second 0.9 ms at the median and 1–4 ms at the 99th percentile (sketch, to the stream: under 1 / 1 ms), 1,000 jobs 2–3 / 5 ms
(3–4 / 8–16 ms), 10,000 jobs 160–225 / 340–600 ms (32–38 / 80–118 ms); in slow minutes of this machine they fell behind (40 / 103 ms). Claims are made [ahead of the instant](decisions/0329-claims-ahead-of-the-instant.md), and the
runs wait in the worker. With `--restart` one of three tickers is ended and another started
each second: 100 jobs were 2 ms late at the median, on their stream, and 7 ms at the 99th percentile, as with three that were left alone.

`python benchmarks/registering.py` plans and applies deployments, without starting Python and declaring the jobs. 10,000 jobs, every minute or
every day alike: new ones 1.6 s, unchanged ones 0.5 s, one changed among them 0.5 s. Before plans compared only what differs, 200 jobs that
are due every minute took 3.9 s of CPU when they were new and 6.9 s when they were not; now they take 0.12 and 0.01 s. `app.control.register_all`
registers 100,000 new jobs in 7.8 s.
"""
