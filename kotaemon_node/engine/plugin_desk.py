"""Takes what operators say of plugins: a new bundle, a configuration, a share, on or off.

It only writes what is wanted and tells the pods; each brings that about for itself.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from kotaemon_node.domain import acting_limits as bounds
from kotaemon_node.domain.errors import Invalid, NodeError, NotFound, TooLarge, Unavailable
from kotaemon_node.domain.events import CONFIG_UPDATED, PLUGIN, ConfigUpdated
from kotaemon_node.domain.plugin_bundle import digest_of, opened, plugin_name_of
from kotaemon_node.domain.plugin_manifest import Manifest
from kotaemon_node.domain.plugin_releases import (
    PluginRow,
    PluginWish,
    Release,
    check_plugin_name,
    with_config,
    with_release,
    with_rollout,
    with_signature,
    with_tenants,
)
from kotaemon_node.ports.events import Bus, Message
from kotaemon_node.ports.plugin_registry import (
    BundleStore,
    Change,
    Desired,
    PluginRefused,
    PluginRegistry,
)
from kotaemon_node.ports.runtime import Clock, IdSource

_log = structlog.get_logger(__name__)


class PluginReader(Protocol):
    """Reads what a plugin's files declare."""

    def __call__(self, files: Mapping[str, bytes]) -> Manifest:
        """Return the manifest; ``Invalid`` where it cannot be read."""
        ...


class PluginDesk:
    """What is wanted of the plugins of one tenant, for the routes."""

    def __init__(
        self,
        registry: PluginRegistry,
        bundles: BundleStore,
        bus: Bus,
        *,
        check: Callable[[Mapping[str, bytes]], None],
        read: PluginReader,
        tenant: str,
        clock: Clock,
        ids: IdSource,
        wake: Callable[[], None],
    ) -> None:
        """``check`` judges the code of a plugin that is pushed: ``Invalid`` or ``TooLarge``.

        ``read`` reads its manifest; ``wake`` has this pod look at once.
        """
        self._registry = registry
        self._bundles = bundles
        self._bus = bus
        self._check = check
        self._read = read
        self._tenant = tenant
        self._clock = clock
        self._ids = ids
        self._wake = wake
        # One a plugin: that of its newest bundle.
        self._manifests: dict[str, tuple[str, Manifest]] = {}

    def desired(self) -> Desired:
        """Return what is wanted of all plugins; ``StoreUnavailable``."""
        return self._registry.read(self._tenant)

    def manifest(self, row: PluginRow) -> Manifest | None:
        """Return what the newest version declares, None where that cannot be read."""
        if row.newest is None:
            return None
        known = self._manifests.get(row.name)
        if known is not None and known[0] == row.newest.bundle:
            return known[1]
        try:
            manifest = self._read(self._bundles.files(row.name, row.newest))
        except (NodeError, PluginRefused) as error:
            _log.info("manifest_not_read", plugin=row.name, reason=str(error))
            return None
        self._manifests[row.name] = (row.newest.bundle, manifest)
        return manifest

    def push(
        self, raw: bytes, *, key_id: str, signature: str, wish: PluginWish, by: str
    ) -> PluginRow:
        """Take a bundle that a trusted key has signed as the newest version of its plugin.

        The same one again changes nothing. ``Invalid`` for one that is not signed so or is no
        plugin, ``TooLarge``, ``ArtifactsUnavailable`` where it cannot be kept, and as ``change``.
        """
        files = opened(raw)
        name = plugin_name_of(files)
        release = Release(digest_of(raw), key_id, signature)
        try:
            self._bundles.check(name, release)
        except PluginRefused as error:
            raise Invalid(f"the bundle is refused: {error}") from None
        self._check(files)
        manifest = self._read(files)
        if wish.config is not None:
            _require(manifest, wish.config)
        self._bundles.add(raw)

        def taken(row: PluginRow | None) -> PluginRow:
            row = row or PluginRow(name)
            newest = row.newest
            config = wish.config if wish.config is not None else (newest.config if newest else {})
            # A new key signs anew what is there already.
            row = replace(with_signature(row, release), origin="pushed", problem="")
            if wish.rollout_percent is not None and wish.rollout_percent < 100.0:
                row = with_rollout(row, wish.rollout_percent)
            row = with_release(row, replace(release, config=checked_config(config)))
            return _wished(row, replace(wish, config=None))

        return self._changed(name, taken, by=by)

    def change(self, name: str, wish: PluginWish, *, by: str) -> PluginRow:
        """Change what is wanted; ``NotFound``, ``Invalid``, ``TooLarge``, and as the registry."""
        check_plugin_name(name)
        if wish.config is not None:
            self._check_config(name, wish.config)
        return self._changed(name, lambda row: _wished(_there(name, row), wish), by=by)

    def reload(self, name: str, *, by: str) -> PluginRow:
        """Have every pod start the plugin anew with its secrets as they are now; as ``change``."""
        check_plugin_name(name)

        def again(row: PluginRow | None) -> PluginRow:
            row = _there(name, row)
            return replace(row, reloads=row.reloads + 1)

        return self._changed(name, again, by=by)

    def remove(self, name: str, *, by: str) -> None:
        """Take a plugin out of use; ``NotFound``. One of the folder comes back with its file."""
        check_plugin_name(name)

        def gone(row: PluginRow | None) -> None:
            _there(name, row)

        _, revision = self._registry.change(self._tenant, name, gone)
        _log.info("plugin_removed", plugin=name, by=by)
        self._tell(name, revision)

    def _changed(
        self, name: str, change: Callable[[PluginRow | None], PluginRow], *, by: str
    ) -> PluginRow:
        now_s = self._clock.now_s()

        def noted(row: PluginRow | None) -> PluginRow:
            after = change(row)
            return after if after == row else replace(after, changed_by=by, changed_at=now_s)

        noting: Change = noted
        row, revision = self._registry.change(self._tenant, name, noting)
        if row is None:
            raise NotFound(f"there is no plugin {name}")
        _log.info("plugin_changed", plugin=name, by=by, revision=revision)
        self._tell(name, revision)
        return row

    def _check_config(self, name: str, config: Mapping[str, Any]) -> None:
        """Raise ``Invalid`` where the newest bundle says that it may not be configured so."""
        checked_config(config)
        row = self._registry.read(self._tenant).rows.get(name)
        if row is None or row.newest is None:
            return
        manifest = self.manifest(row)
        if manifest is not None:  # each pod checks it again before it is used
            _require(manifest, config)

    def _tell(self, name: str, revision: int) -> None:
        self._wake()
        tell_pods(
            self._bus,
            ConfigUpdated(
                event_id=self._ids.new_id(),
                tenant=self._tenant,
                kind=PLUGIN,
                name=name,
                revision=revision,
                at=datetime.fromtimestamp(self._clock.now_s(), UTC).isoformat(),
            ),
        )


def tell_pods(bus: Bus, event: ConfigUpdated) -> None:
    """Send the event; without it the pods find out by themselves, a second later."""
    value = json.dumps(asdict(event)).encode()
    try:
        bus.publish(Message(topic=CONFIG_UPDATED, key=event.name, value=value))
    except Unavailable as error:
        _log.warning("event_not_sent", plugin=event.name, error=str(error))


def checked_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a configuration that may be kept, else raise ``TooLarge``."""
    if len(json.dumps(dict(config)).encode()) > bounds.PLUGIN_CONFIG_BYTES_MAX:
        raise TooLarge(f"config: more than {bounds.PLUGIN_CONFIG_BYTES_MAX} bytes")
    return config


def _require(manifest: Manifest, config: Mapping[str, Any]) -> None:
    """Raise ``Invalid`` where a configuration is not what the manifest asks for."""
    whole = {key: _spoken(value) for key, value in {**manifest.config, **config}.items()}
    if problem := manifest.problem_of(whole):
        raise Invalid(f"config: {problem}")


def _spoken(value: Any) -> Any:
    """Return a value with a text in place of each secret: those are looked up by the pods."""
    if isinstance(value, list):
        return [_spoken(it) for it in value]
    if not isinstance(value, Mapping):
        return value
    if value.keys() == {"secret"}:
        return "a secret"
    return {key: _spoken(it) for key, it in value.items()}


def _there(name: str, row: PluginRow | None) -> PluginRow:
    if row is None:
        raise NotFound(f"there is no plugin {name}")
    return row


def _wished(row: PluginRow, wish: PluginWish) -> PluginRow:
    """Return the row as it is wished; the share comes first, so that it holds for the rest."""
    if wish.enabled is not None:
        row = replace(row, enabled=wish.enabled)
    if wish.tenants is not None:
        row = with_tenants(row, wish.tenants)
    if wish.config is not None:
        if wish.rollout_percent is not None and wish.rollout_percent < 100.0:
            row = with_rollout(row, wish.rollout_percent)
        row = with_config(row, wish.config)
    if wish.rollout_percent is not None:
        row = with_rollout(row, wish.rollout_percent)
    return row
