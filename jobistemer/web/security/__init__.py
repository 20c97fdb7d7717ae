"""Checks before every request: allowed hosts, the token, signed cookies, security headers.

Imports no other package of `web`.
"""
