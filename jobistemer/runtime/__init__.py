"""Processes, threads and signals: what keeps a role going, whatever it does."""
