"""Bundles of plugins on disks: read from folders, kept in the artifact store, unpacked to run."""

from kotaemon_node.adapters.bundles.folders import PluginFiles, read_plugin, read_plugins
from kotaemon_node.adapters.bundles.loading import BundleLoader, Started
from kotaemon_node.adapters.bundles.secrets import PluginSecrets
from kotaemon_node.adapters.bundles.shelf import BundleShelf, unpack
from kotaemon_node.adapters.bundles.sources import check_source

__all__ = [
    "BundleLoader",
    "BundleShelf",
    "PluginFiles",
    "PluginSecrets",
    "Started",
    "check_source",
    "read_plugin",
    "read_plugins",
    "unpack",
]
