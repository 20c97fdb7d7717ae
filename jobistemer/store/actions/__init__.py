"""Actions that take several calls: cancelling, purging, trimming, updating a job, handing work back.

May import all other rooms of `store`.
"""
