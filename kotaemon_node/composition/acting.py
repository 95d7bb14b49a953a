"""Composes what a pod needs to act: plugins, and what stands around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kotaemon_node.adapters.bundles import (
    BundleLoader,
    BundleShelf,
    PluginSecrets,
    Started,
    check_source,
)
from kotaemon_node.adapters.redis import RedisPlugins, RedisPluginStorage, RedisStore
from kotaemon_node.adapters.sandbox.manifest_file import read_manifest
from kotaemon_node.adapters.sandbox.network import Resolver
from kotaemon_node.adapters.sandbox.start import start_plugin
from kotaemon_node.adapters.signing import read_trusted_keys
from kotaemon_node.adapters.store.factory import StorePlace
from kotaemon_node.adapters.store.uploads import make_upload_room
from kotaemon_node.adapters.system.gevent_tasks import GeventTasks
from kotaemon_node.domain import acting_limits as bounds
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.plugin_bundle import manifest_text, plugin_name_of
from kotaemon_node.domain.plugin_manifest import Manifest
from kotaemon_node.engine.plugin_desk import PluginDesk
from kotaemon_node.engine.plugin_fleet import PluginFleet
from kotaemon_node.listeners.config_updated import ConfigUpdatedListener
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.events import Bus
from kotaemon_node.ports.plugins import Plugins
from kotaemon_node.ports.runtime import Clock, IdSource, Tasks
from kotaemon_node.settings import Settings, environment_value
from kotaemon_node.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Acting:
    """What acts in a pod."""

    fleet: PluginFleet
    desk: PluginDesk
    listener: ConfigUpdatedListener
    tasks: Tasks

    @property
    def plugins(self) -> Plugins:
        """The plugins as turns see them."""
        return self.fleet

    def lacking(self) -> str:
        """Return why the pod should not get work yet; "" when it may."""
        return "plugins are being started" if self.fleet.starting else ""

    def start(self) -> None:
        """Start the loops."""
        self.tasks.spawn("plugins", self.fleet.run)

    def stop(self) -> None:
        """End the plugins once their running calls have ended; the pod has left."""
        self.fleet.end()


def acting_of(
    settings: Settings,
    *,
    store: RedisStore,
    artifacts: ArtifactStore,
    bus: Bus,
    clock: Clock,
    ids: IdSource,
    tasks: Tasks,
    metrics: Metrics,
) -> Acting:
    """Return them; nothing is started yet."""
    # Threads of its own: what is unpacked must not hold up searches.
    native = GeventTasks(native_threads=1).compute
    shelf = BundleShelf(
        artifacts,
        make_upload_room(StorePlace.of(settings), clock=clock, native=native),
        read_trusted_keys(settings.trusted_keys),
        tenant=DEFAULT_TENANT,
        folder=settings.artifact_cache_dir / "plugins",
        native=native,
    )
    registry = RedisPlugins(store)
    storage = RedisPluginStorage(store)
    # The same of names: a name server that is silent must hold up plugins only.
    resolve = Resolver(GeventTasks(native_threads=bounds.PLUGIN_RESOLVERS).compute)

    def started(
        folder: Path, manifest: Manifest, *, config: Mapping[str, Any], secrets: Sequence[str]
    ) -> Started:
        return start_plugin(
            folder,
            manifest,
            config=config,
            tenant=DEFAULT_TENANT,
            storage=storage,
            clock=clock,
            tasks=tasks,
            metrics=metrics.acting,
            resolve=resolve,
            secrets=secrets,
        )

    secrets = PluginSecrets(settings.plugin_secrets_dir, environment=environment_value)
    fleet = PluginFleet(
        registry,
        BundleLoader(shelf, secrets, read=_manifest_of, start=started),
        tenant=DEFAULT_TENANT,
        tasks=tasks,
        clock=clock,
        count=metrics.acting.plugin_load,
        show=metrics.acting.plugins_unloaded,
    )
    desk = PluginDesk(
        registry,
        shelf,
        bus,
        check=lambda files: native(check_source, files),
        read=_manifest_of,
        tenant=DEFAULT_TENANT,
        clock=clock,
        ids=ids,
        wake=fleet.wake,
    )
    listener = ConfigUpdatedListener(DEFAULT_TENANT, look=fleet.wake)
    return Acting(fleet, desk, listener, tasks)


def _manifest_of(files: Mapping[str, bytes]) -> Manifest:
    return read_manifest(plugin_name_of(files), manifest_text(files))
