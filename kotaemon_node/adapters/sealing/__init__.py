"""AES-256-GCM over what users and models wrote; beside ``signing`` the only user of its library."""

from kotaemon_node.adapters.sealing.cipher import SealingCipher
from kotaemon_node.adapters.sealing.copies import TENANTS_OF_KEYS, CopiesInArtifacts
from kotaemon_node.adapters.sealing.keeping import KeyKeeper, Rewrapped
from kotaemon_node.adapters.sealing.masters import MasterKeyLines, problem_of_master_key
from kotaemon_node.adapters.sealing.reading import OpensOnly, ReadKeys
from kotaemon_node.adapters.sealing.ring import DataKeyRing
from kotaemon_node.adapters.sealing.values import is_sealed

__all__ = [
    "TENANTS_OF_KEYS",
    "CopiesInArtifacts",
    "DataKeyRing",
    "KeyKeeper",
    "MasterKeyLines",
    "OpensOnly",
    "ReadKeys",
    "Rewrapped",
    "SealingCipher",
    "is_sealed",
    "problem_of_master_key",
]
