"""Actions that take several scripts: cancelling, purging, trimming, updating a job, handing work back.

May import all other rooms of `store`.
"""
