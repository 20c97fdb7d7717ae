"""Two namespaces by mistake: doctor sees work in one and the workers in the other."""

from __future__ import annotations

import pytest

from jobistemer import Jobistemer
from jobistemer.core.reads.findings import Level
from jobistemer.store.reads.namespaces import compare_namespaces
from tests.support.servers import VALKEY, empty_server, running


@pytest.fixture
def url(tmp_path):
    with running(VALKEY, tmp_path) as found:
        empty_server(found)
        yield found


def test_doctor_names_the_namespace_that_has_the_workers(url):
    with Jobistemer(url, namespace="test") as web, Jobistemer(url, namespace="shop") as other:
        web.enqueue("hello")
        assert compare_namespaces(web.namespace).level is Level.FINE
        with other.running(worker=1):
            other.enqueue("unknown")
            while compare_namespaces(web.namespace).level is Level.FINE:
                pass
            found = compare_namespaces(web.namespace)
            assert found.value == "test (this one), shop: work waits in test without a worker, and shop has some"
            assert "pyproject.toml" in found.remedy
            assert compare_namespaces(other.namespace).level is Level.FINE
