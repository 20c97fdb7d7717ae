"""The slots of a worker: threads, event loops and processes in which attempts are executed.

May import `worker.process` and the packages below it.
"""
