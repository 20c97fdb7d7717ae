"""Jobistemer beside its peers: the same work on the same server, one after another. `python -m benchmarks.peers`."""
