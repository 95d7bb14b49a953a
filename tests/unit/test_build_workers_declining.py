"""A build worker that makes no piece says so, and the leader reads the document at once."""

from concurrent.futures import Future

import pytest

from coordinator.ingest import Ingested
from tests.unit.test_build_workers import PATIENCE_S, Shop, same, shop, until

__all__ = ["shop"]


def test_a_worker_of_older_rules_makes_nothing_and_says_so(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = shop.shared.begin("default", shop.file("a.md"))
    task = shop.offered()
    with monkeypatch.context() as older:
        older.setattr("coordinator.workers.pieces.INGEST_RULES", "1")
        shop.worker().work(task)
    assert same(begun.result(timeout=PATIENCE_S))
    assert shop.counted("declined")


def test_a_task_that_meets_a_bug_is_done_with_and_read_by_the_leader(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = shop.shared.begin("default", shop.file("a.md"))
    task, worker = shop.offered(), shop.worker()
    monkeypatch.setattr(worker, "_encoded", lambda passages: passages[len(passages)])
    worker.work(task)
    assert same(begun.result(timeout=PATIENCE_S))
    assert shop.counted("declined")


def test_bytes_that_were_damaged_on_the_way_are_read_by_the_leader(shop: Shop) -> None:
    begun = shop.shared.begin("default", shop.file("a.md"))
    task = shop.offered()
    shop.store.delete(task.source)
    shop.store.put_if_absent(task.source, b"other bytes")
    shop.worker().work(task)
    assert same(begun.result(timeout=PATIENCE_S))


def test_what_was_purged_while_a_worker_read_it_does_not_come_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.shared.begin("default", shop.file("a.md"))
    task, worker = shop.offered(), shop.worker()
    encoded = worker._encoded

    def purged(passages):  # type: ignore[no-untyped-def]
        shop.pieces.remove_all("default", "default")
        return encoded(passages)

    monkeypatch.setattr(worker, "_encoded", purged)
    worker.work(task)
    assert shop.left() == []


def test_a_document_that_fell_back_is_dropped_with_what_waits_for_it(shop: Shop) -> None:
    inner: Future[Ingested | None] = Future()
    dropped: list[object] = []
    shop.here.begin_of = lambda *_: inner  # type: ignore[method-assign]
    shop.here.drop = dropped.append  # type: ignore[method-assign]
    begun = shop.shared.begin("default", shop.file("a.md"))
    shop.offered()
    shop.offers.there = 0
    until(begun.running)
    until(lambda: shop.shared.drop(begun) or dropped == [inner] or dropped.clear())
