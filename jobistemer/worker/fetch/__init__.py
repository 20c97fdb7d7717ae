"""Fetching: which queue is read next, how much is taken, and whether limits admit a run to a slot.

May import `worker.slots` and the rooms below it.
"""
