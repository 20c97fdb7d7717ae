"""Built-in tasks, middleware and integrations that applications install. No other package imports them.

asgi           FastAPI, Starlette: roles in the web process, progress in a browser, the dashboard behind a login
celery         the calls of Celery (delay, chain, group, chord), for a code base that moves
django         Django: settings, tasks, `manage.py jobistemer …`, its own tasks, an outbox
flask          Flask: an application context around each run, and `flask jobistemer …`
shell          the task `shell`: runs a command, where the worker allows it
http           the task `http`: makes a request; private addresses are refused unless the worker allows them
middleware     middleware for structured logging, exception capture and timeouts
outbox         calls that are stored in the transaction of a database, and sent after its commit
outbox_calls   calls as rows, and the relay that sends them
prometheus     the page `/metrics`, which the option `--metrics` adds to the health endpoint
role_commands  the commands of `jobistemer` among those of a web framework
sentry         reports the exceptions of handlers with their run
opentelemetry  traces from the call that enqueues a run to its attempts
app_protocol   the part of an app that `shell` and `http` use
"""
