"""URLs of servers: what can be used, what cannot, and that no secret is ever shown."""

import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from jobistemer.core.errors import Misconfigured
from jobistemer.store.server.connection import connect, connect_async
from jobistemer.store.server.urls import redact_url
from tests.support.tls_servers import Certificates

SECRETS = ("hunter2", "hun", "ter2", "s3nt", "k3y")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:hunter2@localhost/0", "redis://:***@localhost/0"),
        (
            "rediss://ann:hunter2@localhost:6380/0?ssl_ca_certs=ca.crt",
            "rediss://ann:***@localhost:6380/0?ssl_ca_certs=ca.crt",
        ),
        ("redis://ann:hun@ter2@localhost", "redis://ann:***@localhost"),
        ("redis://ann:hun/ter2@localhost", "redis://ann:***@localhost"),
        ("redis://ann:hun:ter2@localhost", "redis://ann:***@localhost"),
        ("redis://localhost/0?password=hunter2&db=1", "redis://localhost/0?password=***&db=1"),
        ("unix://ann:hunter2@/run/redis.sock?db=1", "unix://ann:***@/run/redis.sock?db=1"),
        (
            "redis+sentinel://ann:hunter2@h1:1,h2:2/main/0?sentinel_password=s3nt",
            "redis+sentinel://ann:***@h1:1,h2:2/main/0?sentinel_password=***",
        ),
        ("redis://:hunter2", "redis://:***"),
        ("redis://ann:hunter2/0", "redis://ann:***/0"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis://ann:hunter2@[::1]:6379/0", "redis://ann:***@[::1]:6379/0"),
        ("redis://ann@localhost:6379/0", "redis://ann@localhost:6379/0"),
        ("redis+sentinel://h1:26379,h2:26379/main", "redis+sentinel://h1:26379,h2:26379/main"),
        ("redis://h/0?pasword=hunter2", "redis://h/0?pasword=***"),
        ("rediss://h/0?ssl_password=k3y&ssl_keyfile=a.key", "rediss://h/0?ssl_password=***&ssl_keyfile=a.key"),
    ],
)
def test_a_url_is_shown_without_its_passwords(url, shown):
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://ann:hunter2@h/0", "has scheme 'http'; allowed are redis, rediss, unix"),
        ("redis://ann:hun/ter2@h/0", "port that is no number; in a name or a password / .* are written %2F"),
        ("redis://ann:hunter2@h:hun/0", "port that is no number"),
        ("redis://:hunter2", "port that is no number"),
        ("redis://ann:hunter2@h/main", "no number of a database, such as 0"),
        ("redis://ann:6379/ter2@h/0", "no number of a database, such as 0; in a name or a password"),
        ("redis://ann:hunter2@h/0?soket_timeout=5", "option 'soket_timeout'; did you mean 'socket_timeout'"),
        ("redis://ann:hunter2@h/0?decode_responses=1", "option 'decode_responses'; allowed are db, username"),
        ("redis://ann:hunter2@h/0?socket_timeout=1", "socket_timeout=1; allowed are 3 s and more"),
        ("redis://ann:hunter2@h/0?health_check_interval=often", "Invalid value for 'health_check_interval'"),
        (
            "rediss://ann:hunter2@h/0?ssl_ca_certs=/nowhere/ca.crt",
            "ssl_ca_certs=/nowhere/ca.crt, but there is no such file",
        ),
        ("rediss://ann:hunter2@h/0?ssl_cert_reqs=always", "ssl_cert_reqs=always; allowed are none, optional, required"),
        (
            "redis+sentinel://ann:hunter2@h1:1,h2:2",
            "must look like redis\\+sentinel://host:26379,host2:26379/service/0",
        ),
        ("redis+sentinel://ann:hunter2@/main", "must look like"),
        ("redis+sentinel://ann:hunter2@h1/main/first", "must look like"),
        ("redis+sentinel://h1:1,h2:hunter2/main", "Sentinels has a port that is no number"),
        (
            "redis://:hun[ter2@h:1/0",
            "cannot be read: \\[ and \\] stand around an IPv6 address only, .* %5B %5D and %25",
        ),
        ("redis+sentinel://ann:hun]ter2@x/s", "cannot be read"),
        ("redis+cluster://ann:hun[ter2@x", "cannot be read"),
        (
            "redis://ann:hunter2\u2100@h:1/0",
            "cannot be read: .* letters outside of ASCII are written as their UTF-8 bytes",
        ),
        ("redis:/ann:hunter2@h", "has no scheme; write redis://…"),
        ("unix:ann:hunter2@h", "has no scheme; write redis://…"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_by_name_and_shows_no_secret(url, words):
    for open_client in (connect, connect_async):
        with pytest.raises(Misconfigured, match=words) as refused:
            open_client(url)
        assert not [secret for secret in SECRETS if secret in str(refused.value)]


def test_a_sentinel_url_names_its_sentinels_its_service_and_both_logins():
    client = connect(
        "redis+sentinel://ann:hunter%402@h1:26380,[::1],h3/main/2?sentinel_username=sam&sentinel_password=s3nt"
    )
    pool = client.connection_pool
    asked = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
    assert [(each["host"], each["port"]) for each in asked] == [("h1", 26380), ("::1", 26379), ("h3", 26379)]
    assert {(each["username"], each["password"]) for each in asked} == {("sam", "s3nt")}
    assert pool.service_name == "main"
    wanted = {"username": "ann", "password": "hunter@2", "db": 2, "socket_timeout": 5.0}
    assert {name: pool.connection_kwargs[name] for name in wanted} == wanted


def test_a_url_that_names_no_tls_file_begins_nothing_of_tls(monkeypatch):
    monkeypatch.setattr("ssl.SSLContext", None)
    assert connect("redis://localhost:6390/0").connection_pool.connection_kwargs["port"] == 6390


def test_a_fake_server_that_is_not_installed_is_told_with_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "fakeredis", None)
    with pytest.raises(Misconfigured, match=r"pip install 'jobistemer\[testing\]', or name a real one"):
        connect("fake://nowhere")


def test_an_address_without_a_scheme_is_told_how_to_be_written_unless_it_may_hold_a_secret():
    for url, shown in (
        ("localhost:6379", "write redis://localhost:6379"),
        ("shop-redis", "write redis://shop-redis"),
        ("10.0.0.1:6379/2", "write redis://10.0.0.1:6379/2"),
        ("ann:hunter2@localhost:6379", "write redis://…"),
        ("localhost:hunter2", "write redis://…"),
        ("", "write redis://…"),
    ):
        with pytest.raises(Misconfigured, match=rf"has no scheme; {shown}$"):
            connect(url)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of an authority, of a client and of another one, with the key of the client locked by `pw/1`."""
    folder = tmp_path_factory.mktemp("certificates")
    made = Certificates(folder)
    key = load_pem_private_key(Path(made.client_key).read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw/1"))
    (folder / "locked.key").write_bytes(locked)
    (folder / "empty").write_text("")
    return {
        "ca": made.ca,
        "client": made.client,
        "key": made.client_key,
        "other": made.strange_key,
        "locked": str(folder / "locked.key"),
        "empty": str(folder / "empty"),
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ssl_ca_certs": "empty"}, "no certificate in PEM that can be read"),
        (
            {"ssl_certfile": "client", "ssl_keyfile": "other"},
            "cannot be used together .* the key is that of the certificate",
        ),
        ({"ssl_certfile": "client", "ssl_keyfile": "empty"}, "cannot be used together"),
        ({"ssl_certfile": "empty"}, "cannot be used together"),
        ({"ssl_keyfile": "key"}, "give its certificate too"),
        ({"ssl_certfile": "client", "ssl_keyfile": "locked"}, "ssl_password is its password when it has one"),
        (
            {"ssl_certfile": "client", "ssl_keyfile": "locked", "ssl_password": "hunter2"},
            "ssl_password is its password",
        ),
    ],
)
def test_certificates_that_no_connection_could_use_are_refused_at_once_and_nothing_is_asked(files, options, words):
    given = urlencode({name: files.get(value, value) for name, value in options.items()})
    with pytest.raises(Misconfigured, match=words) as refused:
        connect(f"rediss://localhost:1/0?{given}")
    assert "hunter2" not in str(refused.value)


def test_a_key_with_a_password_is_read_with_it(files):
    given = {"ssl_ca_certs": "ca", "ssl_certfile": "client", "ssl_keyfile": "locked", "ssl_password": "pw/1"}
    options = {name: files.get(value, value) for name, value in given.items()}
    client = connect(f"rediss://localhost:1/0?{urlencode(options)}")
    assert client.connection_pool.connection_kwargs["ssl_password"] == "pw/1"
