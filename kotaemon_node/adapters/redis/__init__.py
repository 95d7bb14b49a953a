"""Redis: sessions, frames, the bus, presence, leadership. The only package that speaks Redis."""

from kotaemon_node.adapters.redis.analytics import RedisAnalytics
from kotaemon_node.adapters.redis.api_keys import RedisApiKeys
from kotaemon_node.adapters.redis.audit import RedisAuditStore
from kotaemon_node.adapters.redis.breaker import RedisBreaker
from kotaemon_node.adapters.redis.bus import RedisStreamsBus
from kotaemon_node.adapters.redis.cold import RedisColdSessions
from kotaemon_node.adapters.redis.connection import RedisStore, connect
from kotaemon_node.adapters.redis.data_keys import RedisDataKeys
from kotaemon_node.adapters.redis.feedback import RedisFeedback
from kotaemon_node.adapters.redis.frames import RedisFrameLog
from kotaemon_node.adapters.redis.hot_answers import RedisHotAnswers
from kotaemon_node.adapters.redis.jobs import RedisJobs
from kotaemon_node.adapters.redis.last_good import RedisLastGood
from kotaemon_node.adapters.redis.later import RedisLater
from kotaemon_node.adapters.redis.leadership import RedisLeadership
from kotaemon_node.adapters.redis.logins import RedisEndedLogins
from kotaemon_node.adapters.redis.plugin_storage import RedisPluginStorage
from kotaemon_node.adapters.redis.plugins import RedisPlugins
from kotaemon_node.adapters.redis.pointer import RedisGenerationPointer
from kotaemon_node.adapters.redis.presence import RedisPresence
from kotaemon_node.adapters.redis.restoring import Archive
from kotaemon_node.adapters.redis.session_cache import SessionCache
from kotaemon_node.adapters.redis.sessions import RedisSessionStore
from kotaemon_node.adapters.redis.turn_log import RedisTurnLog
from kotaemon_node.adapters.redis.turn_records import RedisTurnRecords
from kotaemon_node.adapters.redis.whole import RedisWholeSessions, require_empty

__all__ = [
    "Archive",
    "RedisAnalytics",
    "RedisApiKeys",
    "RedisAuditStore",
    "RedisBreaker",
    "RedisColdSessions",
    "RedisDataKeys",
    "RedisEndedLogins",
    "RedisFeedback",
    "RedisFrameLog",
    "RedisGenerationPointer",
    "RedisHotAnswers",
    "RedisJobs",
    "RedisLastGood",
    "RedisLater",
    "RedisLeadership",
    "RedisPluginStorage",
    "RedisPlugins",
    "RedisPresence",
    "RedisSessionStore",
    "RedisStore",
    "RedisStreamsBus",
    "RedisTurnLog",
    "RedisTurnRecords",
    "RedisWholeSessions",
    "SessionCache",
    "connect",
    "require_empty",
]
