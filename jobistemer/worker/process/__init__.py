"""Execution in a process beside the worker, which can be killed: its pool, its protocol and both sides.

May import `worker.execute` and `worker.attempts`.
"""
