"""Calls of durable handlers: records of their steps, their waits, and the signals that they are sent."""
