"""TLS and sockets: what is checked, what a wrong certificate is told, and that all of it works like plain text."""

import asyncio

import pytest

from jobistemer.core.errors import NotConnected
from jobistemer.store.namespace import Namespace
from tests.support.apps import drain_queues, empty_app
from tests.support.servers import running, single
from tests.support.tls_servers import running_tls_sentinel, running_tls_server, speaks_tls


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_tls_server(tmp_path_factory.mktemp("tls"), clients="no") as opened:
        yield opened


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    with running_tls_server(tmp_path_factory.mktemp("mutual"), clients="yes") as opened:
        yield opened


def enqueued_and_done(url: str) -> list[object]:
    """What two runs return: one enqueued by a thread, one by a coroutine, both executed by a worker."""
    app = empty_app(url)

    @app.task
    def double(number: int) -> int:
        return 2 * number

    handles = [double.enqueue(1), asyncio.run(double.enqueue_async(2))]
    drain_queues(app)
    return [handle.result(timeout=60) for handle in handles]


def refusal(url: str) -> str:
    with pytest.raises(NotConnected) as refused:
        Namespace(url).connect()
    return str(refused.value)


@speaks_tls
def test_work_goes_over_tls_when_the_authority_is_named(server):
    assert enqueued_and_done(server.url(ssl_ca_certs=server.certificates.ca)) == [2, 4]


@speaks_tls
def test_a_server_of_an_unknown_authority_is_refused_and_the_message_names_the_option(server):
    for options in ({}, {"ssl_ca_certs": server.certificates.other_ca}):
        assert "ssl_ca_certs=/path/to/ca.crt" in refusal(server.url(**options))


@speaks_tls
def test_a_certificate_for_another_name_is_refused_unless_the_name_is_not_to_be_checked(server):
    assert "is for another name" in refusal(server.url("127.0.0.1", ssl_ca_certs=server.certificates.ca))
    unchecked = server.url("127.0.0.1", ssl_ca_certs=server.certificates.ca, ssl_check_hostname="false")
    assert enqueued_and_done(unchecked) == [2, 4]
    assert enqueued_and_done(server.url("127.0.0.1", ssl_cert_reqs="none")) == [2, 4]


@speaks_tls
def test_a_server_may_ask_for_a_client_certificate(strict):
    made = strict.certificates
    assert "ssl_certfile=/path/to/client.crt" in refusal(strict.url(ssl_ca_certs=made.ca))
    strange = strict.url(ssl_ca_certs=made.ca, ssl_certfile=made.strange, ssl_keyfile=made.strange_key)
    assert "a client certificate that it trusts" in refusal(strange)
    own = strict.url(ssl_ca_certs=made.ca, ssl_certfile=made.client, ssl_keyfile=made.client_key)
    assert enqueued_and_done(own) == [2, 4]


@speaks_tls
def test_sentinels_are_asked_over_tls_with_a_password_of_their_own(server, tmp_path):
    # The Sentinel names the server by its number, for which it has no certificate.
    options = f"ssl_ca_certs={server.certificates.ca}&ssl_check_hostname=false"
    with running_tls_sentinel(tmp_path, server) as sentinel:
        url = f"rediss+sentinel://{sentinel}/main/0?{options}"
        assert enqueued_and_done(f"{url}&sentinel_password=s3ntinel") == [2, 4]
        # Then one without the password is told what is missing, and one that speaks plain text gets nowhere
        assert "A Sentinel refuses the login: give its password as `sentinel_password`" in refusal(url)
        assert "None of the Sentinels names a master" in refusal(f"redis+sentinel://{sentinel}/main/0")


@speaks_tls
def test_plain_text_at_a_tls_port_is_recognised(server):
    assert "begins with rediss:// instead of redis://" in refusal(f"redis://localhost:{server.port}/0")


@pytest.mark.parametrize("kind", single())
def test_work_goes_through_a_socket(kind, tmp_path_factory):
    folder = tmp_path_factory.mktemp("socket")
    path = folder / "s"
    with running(kind, folder, "--unixsocket", str(path), "--port", "0"):
        assert enqueued_and_done(f"unix://{path}?db=1") == [2, 4]


def test_a_socket_that_is_not_there_is_named(tmp_path):
    assert f"unix://{tmp_path}/nothing" in refusal(f"unix://{tmp_path}/nothing")
