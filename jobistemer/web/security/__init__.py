"""Authentication of requests: allowed hosts, tokens, signed cookies and headers. Imports no other room of `web`."""
