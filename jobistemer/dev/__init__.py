"""The development environment of `jobistemer dev`: server, ticker, workers and dashboard in one command.

embedded_server  the server process: a real Valkey in a private folder
processes        all processes: start in order, replace those that end, end in order
snapshot         the state of the namespace at one moment
screen           a snapshot for a terminal
event_log        the changes since the last snapshot, line by line
kill_worker      kill a worker on purpose, and follow its runs
session          the loop that brings them together
"""
