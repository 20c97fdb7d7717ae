"""Control of jobs, queues, runs and dead letters at run time, for commands, the dashboard and applications.

Nothing here needs the code of an application. May import `store`, `core` and `runtime`.
"""
