"""Connections to a server: URLs, standalone, Sentinel and Cluster clients. The lowest room of `store`."""
