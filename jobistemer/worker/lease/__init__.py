"""The worker's lease: its heartbeat, and taking over the runs of workers whose lease has expired.

The top room of `worker`; may import all the others.
"""
