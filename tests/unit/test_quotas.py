"""The table of limits: the most particular row speaks, and what is wrong in a file is named."""

import os
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.system.limits_file import LimitsFile
from kotaemon_node.domain.quotas import Quota, QuotaTable, read_table
from kotaemon_node.domain.session import Principal
from tests.fakes.services import FakeClock

ANN = Principal("acme", "ann", "customer")
SAID: dict[str, Any] = {
    "principal": {"requests_per_minute": 60, "streams": 5},
    "roles": {"customer": {"requests_per_minute": 30, "cost_per_day": 1}},
    "tenant": {"requests_per_minute": 1_000},
    "tenants": {
        "acme": {
            "tenant": {"cost_per_day": 50.5},
            "principal": {"streams": 7},
            "roles": {"customer": {"streams": 8}},
            "principals": {"bob": {"requests_per_minute": None, "streams": 9}},
        }
    },
}


def test_the_most_particular_row_speaks() -> None:
    table = read_table(SAID)

    assert table.of_principal(ANN) == Quota(30, None, 1.0, 8)
    assert table.of_principal(Principal("acme", "bob", "customer")) == Quota(None, None, 1.0, 9)
    assert table.of_principal(Principal("acme", "root", "admin")) == Quota(60, streams=7)
    assert table.of_principal(Principal("other", "ann", "customer")) == Quota(30, None, 1.0, 5)
    assert table.of_tenant("acme") == Quota(1_000, cost_per_day=50.5)
    assert table.of_tenant("other") == Quota(1_000)


def test_settings_stand_behind_the_file() -> None:
    table = read_table(SAID).behind({"requests_per_minute": 9, "tokens_per_minute": 8})

    assert table.of_principal(ANN) == Quota(30, 8, 1.0, 8)


def test_without_rows_nothing_is_limited() -> None:
    assert not read_table(None).of_principal(ANN)
    assert not QuotaTable().of_tenant("acme")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([], "the file must hold names and values"),
        ({"principals": {}}, "'principals' is not one of principal, roles, tenant, tenants"),
        ({"principal": {"requests": 1}}, "principal: 'requests' is not one of"),
        ({"principal": {"streams": 0}}, r"principal.streams must be a whole number above 0"),
        ({"principal": {"streams": True}}, "principal.streams"),
        ({"tenant": {"requests_per_minute": 1.5}}, "tenant.requests_per_minute"),
        ({"tenant": {"cost_per_day": float("nan")}}, "tenant.cost_per_day must be a number"),
        ({"roles": {"boss": {}}}, "roles: 'boss' is not one of admin"),
        ({"tenants": {"a b": {}}}, "tenants: 'a b' is no name of a tenant"),
        ({"tenants": {"a": {"principals": {"x y": {}}}}}, "tenants.a.principals: 'x y'"),
        ({"tenants": {7: {}}}, "tenants: 7 must be a text"),
    ],
)
def test_what_is_wrong_is_named(said: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_table(said)


def test_the_file_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    path, clock = tmp_path / "limits.yaml", FakeClock()
    path.write_text("principal: {streams: 2}\n")
    file = LimitsFile(path, fixed={"requests_per_minute": 5}, clock=clock)
    assert file.table().of_principal(ANN) == Quota(5, streams=2)

    path.write_text("principal: {streams: 30}\n")
    assert file.table().of_principal(ANN).streams == 2
    clock.sleep(1.0)

    assert file.table().of_principal(ANN).streams == 30


def test_a_file_that_is_replaced_as_kubernetes_does_is_read_anew(tmp_path: Path) -> None:
    for version, streams in (("v1", 2), ("v2", 3)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "limits.yaml").write_text(f"principal: {{streams: {streams}}}\n")
        os.utime(tmp_path / version / "limits.yaml", ns=(0, 0))  # alike, but for the file it is
    data, path, clock = tmp_path / "..data", tmp_path / "limits.yaml", FakeClock()
    data.symlink_to("v1")
    path.symlink_to("..data/limits.yaml")
    file = LimitsFile(path, fixed={}, clock=clock)
    assert file.table().of_principal(ANN).streams == 2

    (tmp_path / "new").symlink_to("v2")
    (tmp_path / "new").replace(data)
    clock.sleep(1.0)

    assert file.table().of_principal(ANN).streams == 3


@pytest.mark.parametrize("broken", ["principal: [", "principal: {streams: none}", ""])
def test_a_file_that_became_unusable_leaves_the_limits_as_they_were(
    tmp_path: Path, broken: str
) -> None:
    path, clock = tmp_path / "limits.yaml", FakeClock()
    path.write_text("principal: {streams: 2}\n")
    file = LimitsFile(path, fixed={}, clock=clock)
    path.write_text(broken) if broken else path.unlink()
    clock.sleep(1.0)

    assert file.table().of_principal(ANN).streams == 2


def test_a_file_that_cannot_be_used_at_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        LimitsFile(tmp_path / "none.yaml", fixed={}, clock=FakeClock())
    (tmp_path / "limits.yaml").write_text("tenant: {stream: 1}")
    with pytest.raises(ValueError, match=r"limits.yaml: tenant: 'stream' is not one of"):
        LimitsFile(tmp_path / "limits.yaml", fixed={}, clock=FakeClock())
