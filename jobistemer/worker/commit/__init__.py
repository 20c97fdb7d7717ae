"""Recording of ended attempts: they are gathered, committed by one script for each, and their effects follow.

A stranger to `worker.execute`; may import `worker.attempts`.
"""
