"""The worker's lease: its heartbeat, and the takeover of runs whose worker's lease has expired.

The top package of `worker`: it may import all the others.
"""
