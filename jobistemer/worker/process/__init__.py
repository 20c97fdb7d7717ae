"""Execution in a process of its own, which can be killed: the pool of processes, the protocol, and both sides of it.

May import `worker.execute` and `worker.attempts`.
"""
