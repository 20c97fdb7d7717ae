"""Reads of durable handlers: their steps, signals and questions, for people."""
