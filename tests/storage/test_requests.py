"""How many requests leases in a bucket make: one for each heartbeat, and one for each look at somebody else's."""

import time
from collections.abc import Iterator

import pytest

from stilts.ledger.progress import rest_seconds
from stilts.run.leases import Pace
from stilts.storage import lease as leases
from stilts.storage.lease import Lease, LeaseWatch, Periods
from stilts.storage.open import open_store
from stilts.storage.protocol import Store
from tests.servers import HttpProxy, s3_uri

RUN = "experiments/one/runs/0123456789ab"


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[HttpProxy]:
    with HttpProxy(s3_endpoint) as proxy:
        yield proxy


@pytest.fixture
def bucket(proxy: HttpProxy, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that is reached through the proxy."""
    folder = tmp_path_factory.mktemp("requests")
    monkeypatch.setenv("STILTS_CACHE", str(folder))
    return open_store(s3_uri(proxy.endpoint, f"bucket/{folder.name}"))


def test_a_waiting_search_that_holds_two_leases_stays_below_its_requests_an_hour(bucket: Store) -> None:
    """Its run and itself are leased; it looks at the leases of others, and writes its progress."""
    periods = Periods.of(bucket)
    held, looks = 2 * 3600 / periods.renew, 3600 / Pace.of(bucket).rest
    assert held + looks + 3600 / rest_seconds(bucket) <= 120
    assert 3600 / periods.renew + 3600 / periods.look <= 120, "one that waits for another driver of the search"
    assert periods.lease >= 3 * periods.renew, "two heartbeats in a row may fail"


def test_a_heartbeat_is_one_request(bucket: Store, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.1 / leases.BUCKET_RENEW_FACTOR)
    lease = Lease(bucket, RUN)
    assert lease.acquire()
    proxy.forget()
    until = time.monotonic() + 60
    while len(proxy.requests) < 5:
        assert time.monotonic() < until
        time.sleep(0.05)
    seen = proxy.requests[:5]
    lease.__exit__(None, None, None)
    assert all(request.startswith("PUT ") and request.endswith("/claims/1.json") for request in seen)


def test_a_look_at_a_held_lease_is_one_request(bucket: Store, proxy: HttpProxy, s3_endpoint: str) -> None:
    assert Periods.of(bucket).look >= 60
    place = bucket.uri.replace(proxy.endpoint, s3_endpoint)
    with Lease(open_store(place), RUN):
        waiting = Lease(bucket, RUN)
        assert not waiting.acquire()
        watch = LeaseWatch(bucket, RUN)
        assert watch.holder() is not None
        proxy.forget()
        for _ in range(5):
            assert not waiting.acquire()
            assert watch.holder() is not None
        assert len(proxy.requests) == 10
        assert {request.partition(" ")[0] for request in proxy.requests} == {"GET"}
