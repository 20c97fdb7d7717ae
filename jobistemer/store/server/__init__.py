"""Connections to a server: URLs, clients of one server, of Sentinels and of a cluster. The lowest layer of `store`."""
