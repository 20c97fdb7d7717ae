"""Timelines and Gantt charts as values for templates, and the templates' environment. Nothing here asks the server."""
