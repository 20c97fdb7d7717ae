"""Timelines and Gantt charts as values for templates, and the environment of the templates.

Reads nothing from the server. Imports no other package of `web`.
"""
