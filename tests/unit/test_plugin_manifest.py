"""The manifest of a plugin: what it may say, and that a mistake is named with its field."""

from pathlib import Path

import pytest

from kotaemon_node.adapters.sandbox.manifest_file import read_manifest
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain import plugin_manifest
from kotaemon_node.domain.errors import Invalid, TooLarge
from kotaemon_node.domain.plugin_manifest import HostRule, Manifest, ProcessLimits


def test_what_its_page_shows_is_read() -> None:
    shown = (plugin_manifest.__doc__ or "").partition("\n\n")[2]

    assert read_manifest("orders", shown) == Manifest(
        "orders",
        effects="idempotent",
        hosts=(
            HostRule("shop.example", 443),
            HostRule("orders.internal", 8080, private=True),
        ),
        storage=("orders:*", "last_sync"),
        config={"url": "https://shop.example/api"},
        config_schema={"properties": {"url": {"type": "string"}}},
        limits=ProcessLimits(memory_mb=256, cpu_s=10, files=64),
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "effects: read", "hosts: null"])
def test_who_declares_nothing_may_nothing(text: str) -> None:
    manifest = read_manifest("orders", text)

    assert manifest == Manifest("orders")
    assert manifest.rule_for("shop.example", 443) is None
    assert not manifest.may_keep("orders")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hosts: [shop.example:443]", "effects must be said"),
        ("storage: [orders]", "effects must be said"),
        ("effects: write", "effects must be read, idempotent or once"),
        ("effects: [read]", "effects must be read"),
        ("{effects: read, hosts: shop.example:443}", "hosts must be a list"),
        ("{effects: read, hosts: [shop.example]}", "name:port"),
        ("{effects: read, hosts: ['*:443']}", "name:port"),
        ("{effects: read, hosts: ['https://shop.example:443']}", "name:port"),
        ("{effects: read, hosts: ['shop.example:0']}", "name:port"),
        ("{effects: read, hosts: ['shop.example:70000']}", "name:port"),
        ("{effects: read, hosts: [{host: 'a:1', private: sure}]}", "private: true"),
        ("{effects: read, hosts: [{host: 'a:1', public: true}]}", "private: true"),
        ("{effects: read, storage: ['*a']}", "storage must be keys"),
        ("{effects: read, storage: ['user_id:*']}", "needs no entry"),
        ("config: [1]", "config must be an object"),
        ("config: {1: 2}", "config must have texts"),
        ("timeout_s: soon", "timeout_s must be a number"),
        ("timeout_s: true", "timeout_s must be a number"),
        ("timeout_s: 31", "timeout_s must be 0.1 to 30"),
        ("timeout_s: .nan", "timeout_s must be 0.1 to 30"),
        ("retries: 1.5", "retries must be a whole number"),
        ("{effects: once, retries: 1}", "retries must be 0 where effects is once"),
        ("slow: 1", "slow must be true or false"),
        ("limits: {memory_mb: 1}", "limits.memory_mb must be 64 to"),
        ("config_schema: {properties: []}", "config_schema must be the JSON schema"),
        ("config_schema: {required: 5}", "config_schema must be the JSON schema"),
        ("config_schema: {required: [[a]]}", "required must be a list of names"),
        ("config_schema: {properties: {a: {type: 5}}}", "the type of the property a"),
        ("config_schema: {properties: {a: {type: [[string]]}}}", "the type of the property a"),
        ("config_schema: {properties: {a: 5}}", "the property a must be a JSON schema"),
        ("config_schema: {properties: {1: {}}}", "properties must have texts as its keys"),
        ("config: {a: !!binary aGVsbG8=}", "config.a is no JSON value but a bytes"),
        ("config: {a: [1, !!set {b}]}", "config.a.1 is no JSON value but a set"),
        ("config: {since: 2026-01-01}", "config.since is no JSON value but a date; a text stands"),
        ("limits: {disk: 1}", "limits.disk is no field; the fields are: cpu_s"),
        ("host: [a:1]", "host is no field; the fields are: config"),
        ("- 1", "must be an object of fields"),
        ("a: &a [1]\nb: *a", "aliases"),
        ("a: [", "neither YAML nor JSON"),
        ("!!python/object/apply:os.system [ls]", "neither YAML nor JSON"),
    ],
)
def test_a_mistake_is_named_with_its_field(text: str, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_manifest("orders", text)
    assert str(refused.value).startswith("orders.yaml")
    assert why in str(refused.value)


def test_a_slow_plugin_may_take_longer_than_a_turn() -> None:
    assert read_manifest("p", "{slow: true, timeout_s: 200}").timeout_s == 200


def test_a_file_has_a_size() -> None:
    with pytest.raises(TooLarge):
        read_manifest("p", "#" * (limits.PLUGIN_MANIFEST_BYTES_MAX + 1))


@pytest.mark.parametrize("name", ["", "a b", "ä", "a" * 65, "../a", "a\n"])
def test_a_name_is_one_of_a_tool(name: str) -> None:
    with pytest.raises(Invalid, match="letters"):
        read_manifest(name, "")


def test_hosts_and_keys_are_those_that_are_declared_and_no_others() -> None:
    manifest = read_manifest(
        "p", "{effects: read, hosts: [Shop.Example:443, '[::1]:80'], storage: ['a:*', b]}"
    )

    assert manifest.rule_for("shop.EXAMPLE.", 443)
    assert manifest.rule_for("::1", 80)
    assert not manifest.rule_for("shop.example", 80)
    assert not manifest.rule_for("www.shop.example", 443)
    keys = ("a:", "a:1", "b", "a", "b1", "a:\n", "a:{}")
    assert [key for key in keys if manifest.may_keep(key)] == ["a:", "a:1", "b"]


def test_the_page_for_authors_names_every_field() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/plugins-sandbox.md").read_text("utf-8")
    fields = ("effects", "hosts", "storage", "config", "timeout_s", "horizon_s", "retries")
    for field in (*fields, "slow", "confirm", "config_schema", "memory_mb", "cpu_s", "files"):
        assert f"`{field}`" in page, field
