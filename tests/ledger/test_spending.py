"""What launches have used, over all of them; on every backend through the contract's own stores."""

from pathlib import Path

import pytest

from stilts.ledger.spending import Spending, read_spending, write_spending
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return LocalStore(tmp_path)


def test_launches_add_up_and_are_replaced_as_they_go_on(store: Store) -> None:
    assert read_spending(store, "grid", "USD") == Spending()
    for hours in (1.0, 2.0):
        write_spending(store, "grid", "a", Spending(hours, 10 * hours, 1), "USD")
    write_spending(store, "grid", "b", Spending(0.5, 5.0, 1), "USD")
    write_spending(store, "another", "c", Spending(100.0, 100.0, 1), "USD")
    assert read_spending(store, "grid", "USD") == Spending(2.5, 25.0, 2)
    assert read_spending(store, "grid", "USD", besides="a") == Spending(0.5, 5.0, 1)


def test_costs_in_another_currency_are_left_out(store: Store) -> None:
    write_spending(store, "grid", "a", Spending(1.0, 10.0, 1), "USD")
    write_spending(store, "grid", "b", Spending(1.0, 10.0, 1), "EUR")
    assert read_spending(store, "grid", "EUR") == Spending(2.0, 10.0, 2)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"gpu_hours": "many", "cost": 1, "currency": "USD"}'])
def test_what_cannot_be_read_counts_nothing(store: Store, content: bytes) -> None:
    write_spending(store, "grid", "a", Spending(1.0, 10.0, 1), "USD")
    store.write("experiments/grid/spent/b.json", content)
    assert read_spending(store, "grid", "USD") == Spending(1.0, 10.0, 1)
