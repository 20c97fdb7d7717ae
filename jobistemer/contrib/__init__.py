"""Things that applications plug in: built-in tasks and middleware. Nothing in the package imports them.

shell          a task that runs a command, where the worker allows it
http           a task that makes a request, with private addresses refused unless the worker allows them
middleware     structured logging, exception capture, timeout
prometheus     the page /metrics, which `--metrics` plugs in
sentry         exceptions, with the run they happened in
opentelemetry  spans around calls and attempts, in one trace
"""
