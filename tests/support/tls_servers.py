"""Servers and clusters that are reached over TLS or through a socket, with certificates made for the test."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
import trustme

from tests.support.clusters import LocalCluster, free_port, running_cluster
from tests.support.servers import REDIS, binary_of, running, wait_for_line

# The embedded server is built without TLS. `.ci/run` installs redis-server, so nothing is skipped there.
speaks_tls = pytest.mark.skipif(
    not shutil.which("redis-server"), reason="only redis-server speaks TLS here: install it"
)


class Certificates:
    """An authority, what it issued to the server (as `names`) and to a client, and an authority nobody knows."""

    def __init__(self, folder: Path, *names: str) -> None:
        self._folder = folder
        authority, stranger = trustme.CA(), trustme.CA()
        self.ca = self._written("ca.crt", authority.cert_pem)
        self.other_ca = self._written("other.crt", stranger.cert_pem)
        self.server, self.server_key = self._issued("server", authority.issue_cert(*(names or ("localhost",))))
        self.client, self.client_key = self._issued("client", authority.issue_cert("worker.example"))
        self.strange, self.strange_key = self._issued("strange", stranger.issue_cert("worker.example"))

    def _issued(self, name: str, issued: trustme.LeafCert) -> tuple[str, str]:
        certificate = self._written(f"{name}.crt", issued.cert_chain_pems[0])
        return certificate, self._written(f"{name}.key", issued.private_key_pem)

    def _written(self, name: str, blob: trustme.Blob) -> str:
        path = self._folder / name
        blob.write_to_path(path)
        return str(path)


_SENTINEL = """
port 0
tls-port {port}
bind 127.0.0.1
dir {folder}
tls-cert-file {made.server}
tls-key-file {made.server_key}
tls-ca-cert-file {made.ca}
tls-auth-clients no
tls-replication yes
requirepass s3ntinel
sentinel monitor main 127.0.0.1 {master} 1
"""


class TlsServer:
    """A server with a port for plain text and one for TLS, which asks for client certificates or does not."""

    def __init__(self, port: int, plain: str, certificates: Certificates) -> None:
        self.port, self.plain, self.certificates = port, plain, certificates

    def url(self, host: str = "localhost", **options: str) -> str:
        return f"rediss://{host}:{self.port}/0?{urlencode(options)}"


@contextmanager
def running_tls_server(folder: Path, *, clients: str) -> Iterator[TlsServer]:
    """A TLS server while the context lasts; `clients` is what `tls-auth-clients` says: no, optional, yes."""
    made, port = Certificates(folder), free_port()
    options = ("--bind", "127.0.0.1", "--tls-port", str(port), *_files(made), "--tls-auth-clients", clients)
    with running(REDIS, folder, *options) as plain:
        yield TlsServer(port, plain, made)


@contextmanager
def running_tls_cluster(
    folder: Path, made: Certificates, *, clients: str, options: Sequence[str] = ()
) -> Iterator[LocalCluster]:
    """A cluster that speaks TLS only, also among its nodes; the first of them has a replica."""
    mutual = ("--tls-cluster", "yes", "--tls-replication", "yes", "--tls-auth-clients", clients)
    asking = {"ssl": True, "ssl_ca_certs": made.ca, "ssl_certfile": made.client, "ssl_keyfile": made.client_key}
    unchecked = {**asking, "ssl_check_hostname": False}
    with running_cluster(binary_of(REDIS), folder, 1, (*_files(made), *mutual, *options), unchecked) as cluster:
        yield cluster


def _files(made: Certificates) -> tuple[str, ...]:
    return ("--tls-cert-file", made.server, "--tls-key-file", made.server_key, "--tls-ca-cert-file", made.ca)


@contextmanager
def running_tls_sentinel(folder: Path, master: TlsServer) -> Iterator[str]:
    """A Sentinel that speaks TLS too and has a password, and names this server as `main`; gives its place."""
    port, file = free_port(), folder / "sentinel.conf"
    file.write_text(_SENTINEL.format(port=port, folder=folder, made=master.certificates, master=master.port))
    binary = shutil.which("redis-server")
    assert binary is not None
    process = subprocess.Popen([binary, str(file), "--sentinel"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert process.stdout is not None
        wait_for_line(process.stdout, b"+monitor master main")
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait()
