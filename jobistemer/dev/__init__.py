"""Develop without setting anything up: server, ticker, workers and dashboard in one command, and what they do.

embedded    the server process: a real Valkey in a private folder
children    one process of ours, started and ended
crew        all of them: start in order, restart what dies, end in order
scene       what is going on, read once
screen      a scene for a terminal
chronicle   what has happened since the last scene, line by line
takeover    kill a worker on purpose, and follow what becomes of its work
ports       a port for the dashboard
stage       the loop that brings them together
"""
