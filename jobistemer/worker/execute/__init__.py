"""Execution of one attempt: arguments, middleware, injected values, the call, and what its outcome means.

A stranger to `worker.commit`; may import `worker.attempts`.
"""
