"""Jobistemer: distributed cron and job queue on Redis."""

__version__ = "0.1.0"
