"""Bounds of what conversations do, as ``limits``: the unit in the name, the reason beside it."""

from typing import Final

# State of a session (domain/dialogue.py). It is read with each claim and written with each turn
# that changes it: some kilobytes at most.
STATE_SLOTS_MAX: Final = 32  # those said longest ago are forgotten
STATE_NAME_CHARS_MAX: Final = 64
STATE_VALUE_BYTES_MAX: Final = 512  # JSON; a longer value is not kept at all
STATE_TOPIC_CHARS_MAX: Final = 80
STATE_INTENTS_MAX: Final = 5
STATE_ENTITIES_MAX: Final = 8
STATE_ENTITY_VALUES_MAX: Final = 10  # more than anybody chooses from in a sentence
STATE_PENDING_BYTES_MAX: Final = 8_000  # JSON; a larger proposal is not made
STATE_QUESTION_CHARS_MAX: Final = 1_000  # of what was asked before a value was asked for
PENDING_AGE_MAX_S: Final = 900.0  # after a quarter of an hour a "yes" may mean something else

# Calls of tools (engine/tool_steps.py and what stands around it).
TOOL_HORIZON_S_DEFAULT: Final = 60.0  # a request in a queue behind a load balancer is gone by then
TOOL_HORIZON_S_MAX: Final = 86_400.0  # what settles by night
TOOL_RETRIES_MAX: Final = 5
TOOL_RETRY_S: Final = 0.3  # before the first repeat; twice as long each time
TOOL_BEGIN_S: Final = 5.0  # between the claim and the sending lies one write to the store
TOOL_SLACK_S: Final = 5.0  # two pods measure the age of a turn by the same clock, at two moments
TOOL_CALLS_PER_TURN_MAX: Final = 20  # then a model has to answer with what it has
TOOL_CALLS_AT_ONCE: Final = 8  # of one round, which has no more
TOOL_PLEASE_WAIT_S: Final = 2.0  # then the user is told that it takes longer
TOOL_PATIENCE_S: Final = 20.0  # then the turn ends and the call goes on behind it
LAST_GOOD_KEPT_S: Final = 3_600.0  # an older result misleads more than it helps
RECONCILE_LOOKS_S: Final = (2, 15)  # a "yes" may be there long before a "no" proves anything
RECONCILE_ATTEMPTS_MAX: Final = 8
CALL_CONTEXT_BYTES_MAX: Final = 4_096  # with arguments and summary in one job

# Work done later (engine/later.py, docs/how-to/retry-queue.md).
LATER_SHARDS: Final = 4  # slots of a Redis Cluster; each costs every pod one call a poll
LATER_WAITING_MAX: Final = 20_000  # of a tenant: at 2 kB each 40 MB of the store
LATER_JOB_BYTES_MAX: Final = 64 * 1024
LATER_DEAD_MAX: Final = 1_000  # of a tenant; of more the oldest go
LATER_DONE_KEPT_S: Final = 86_400  # for so long the id of a job that ended is known
LATER_AGE_MAX_S: Final = 7 * 86_400.0  # a job that waits for something for longer is a dead letter
LATER_ATTEMPTS_MAX: Final = 8  # with the times below the last is about 25 minutes after the first
LATER_BACKOFF_S: Final = 2.0  # before the second attempt; twice as long each time
LATER_BACKOFF_S_MAX: Final = 900.0
LATER_LEASE_S: Final = 20.0  # renewed at a third of it: a dead pod's jobs go on after this
LATER_RUN_S_MAX: Final = 960.0  # more than the slowest call; after it a job loses its lease
LATER_POLL_S: Final = 0.5
LATER_LOOKERS: Final = 8  # pods that look so often; more look the more rarely, every 3 s at least
LATER_RUNNING_MAX: Final = 8  # jobs of a kind that a pod carries out at once
LATER_POOL_MAX: Final = 8  # connections of a pod to its Redis for all of this
LATER_ERROR_CHARS_MAX: Final = 500
FOLLOW_UP_CHARS_MAX: Final = 8_000  # of the text that a follow-up tells
FOLLOW_UP_BYTES_MAX: Final = 48 * 1024  # text, sources and fields of one; below that of a job
BREAKER_TOLD_EVERY_S: Final = 300.0  # of one plugin: it may open every ten seconds
WEBHOOKS_MAX: Final = 32  # each is one job a turn
WEBHOOKS_FILE_BYTES_MAX: Final = 256 * 1024
WEBHOOK_ATTEMPTS_MAX: Final = 14  # the last is about an hour and a half after the first
WEBHOOK_TEXT_CHARS_MAX: Final = 6_000  # of message and answer each: 4 bytes a character at most
WEBHOOK_CONNECT_TIMEOUT_S: Final = 5.0
WEBHOOK_TIMEOUT_S: Final = 15.0  # what a receiver does longer, it does behind its answer
WEBHOOK_ANSWER_BYTES_MAX: Final = 16 * 1024  # read so that the other side can end well
FOLLOW_UP_PARKED_S: Final = 15.0  # while a person has the session it is asked again so often

# Channels of chat platforms (engine/channels.py, docs/how-to/channels.md).
CHANNELS_MAX: Final = 32  # as many as webhooks: each needs an address and secrets of its own
CHANNELS_FILE_BYTES_MAX: Final = 256 * 1024
CHANNEL_BODY_BYTES_MAX: Final = 256 * 1024  # a message of 32,000 characters, and what is around it
CHANNEL_ID_CHARS_MAX: Final = 256  # an id of a message of mail is as long
CHANNEL_NAME_CHARS_MAX: Final = 128  # of a user
CHANNEL_CONTEXT_BYTES_MAX: Final = 4_096  # kept with the session and read with each turn
CHANNEL_WAIT_S_MIN: Final = 3.0  # below it, whether the response had the answer cannot be told
CHANNEL_WAIT_S_MAX: Final = 55.0  # below JSON_WAIT_MAX_S and what balancers wait
CHANNEL_WAIT_MARGIN_S: Final = 2.0  # an answer so close before the end of the wait is sent as well
CHANNEL_CLAIM_TRIES: Final = 3  # of a message whose session ends, or is set back, just then

# Summaries of what stands behind the whole turns of a session (engine/memory.py).
SUMMARY_THRESHOLD_TURNS: Final = 5  # more turns than these leave the history together
HISTORY_READ_TURNS: Final = 15  # MAX_HISTORY_TURNS and the threshold: what no summary tells of
SUMMARY_CHARS_MAX: Final = 2_000  # what a prompt has room for
SUMMARY_MESSAGE_CHARS_MAX: Final = 160
SUMMARY_ANSWER_CHARS_MAX: Final = 200
SUMMARY_NAMED_MAX: Final = 20  # numbers and codes that stay when their lines are gone
SUMMARY_TIMEOUT_S: Final = 20.0  # a language model's; the rules' stands where it takes longer

# Plugins on all pods (engine/plugin_fleet.py, domain/plugin_bundle.py).
PLUGINS_MAX: Final = 32  # each version is a process in every pod
BUNDLE_BYTES_MAX: Final = 8 * 1024 * 1024  # below BODY_BYTES_MAX, so that one request carries it
BUNDLE_UNPACKED_BYTES_MAX: Final = 16 * 1024 * 1024  # held in memory while it is checked
BUNDLE_FILES_MAX: Final = 500
BUNDLE_DEPTH_MAX: Final = 10
PLUGIN_MODULE_BYTES_MAX: Final = 200_000  # nothing else runs while one is compiled: 0.6 s at most
PLUGIN_CONFIG_BYTES_MAX: Final = 16 * 1024  # JSON; read by every pod with each change
PLUGIN_TENANTS_MAX: Final = 1_000  # to which one plugin is offered; `*` stands for all
PLUGIN_SECRET_BYTES_MAX: Final = 16 * 1024  # a certificate with its chain, too
PLUGIN_LOOK_S: Final = 1.0  # between looks at what is wanted: all pods follow within two seconds
PLUGIN_AGAIN_S: Final = 2.0  # until a version that did not start is tried again, then twice as long
PLUGIN_AGAIN_S_MAX: Final = 60.0
PLUGIN_STARTING_S_MAX: Final = 15.0  # a pod that starts waits so long for its plugins
PLUGINS_RETIRING_MAX: Final = 4  # old versions of one plugin that wait for turns that know them
PLUGIN_CHANGE_TRIES: Final = 20  # of one change that others cross
PLUGIN_FOLDER_LOOK_S: Final = 0.3  # a file is taken when two looks found it the same
PLUGIN_PROBLEM_CHARS_MAX: Final = 300  # it stands in every heartbeat

# Intents (engine/intents/).
INTENT_CHARS_MAX: Final = 1_000  # of a message; who wants something says so at its beginning
INTENTS_FILE_BYTES_MAX: Final = 4_194_304  # 150 intents of 100 utterances are 1 MB
INTENTS_MAX: Final = 1_000
INTENT_EXAMPLES_MAX: Final = 20_000  # learning from so many takes 150 MB and some seconds
INTENT_CANDIDATES_MAX: Final = 5  # told in records
EXPRESSION_CHARS_MAX: Final = 2_000
EXPRESSION_BYTES_MAX: Final = 8_388_608  # of the automaton of one expression, or of all together
SLOT_VALUES_MAX: Final = 16  # occurrences of one slot in a message that are looked at
SLOT_CHARS_MAX: Final = 200
CORRECTIONS_MAX: Final = 1_000
INTENT_NAME_CHARS_MAX: Final = 128
INTENT_SERVICE_TIMEOUT_S: Final = 1.0  # each turn waits for it before anything is searched
INTENT_ANSWER_BYTES_MAX: Final = 65_536  # a ranking of 1,000 intents
INTENT_MODEL_TIMEOUT_S: Final = 5.0  # a name is some ten tokens; then there is no intent
INTENT_MODEL_CHOICES_MAX: Final = 200  # with what they mean some 6,000 tokens of a prompt

# Processes of plugins (adapters/sandbox/, kotaemon_node/plugins/).
PLUGIN_PROCESSES_MAX: Final = 4  # of one plugin in a pod: calls beyond wait for one
PLUGIN_IDLE_S: Final = 60.0  # a process beyond the first that nobody needed for so long ends
PLUGIN_START_S: Final = 30.0  # imports on a machine that is busy; starting again counts anew
PLUGIN_TEARDOWN_S: Final = 2.0  # then it is killed
PLUGIN_TICK_S: Final = 0.05  # between looks at a process while its call runs
PLUGIN_FULL_SPEED_S: Final = 0.1  # of computing in a call; then it gets what others leave
PLUGIN_START_SPEED_S: Final = 3.0  # the same of a start: large libraries compute for a second
PLUGIN_MEMORY_MB_DEFAULT: Final = 256  # Python with requests and TLS needs 60, of addresses
PLUGIN_MEMORY_MB_MIN: Final = 64
PLUGIN_MEMORY_MB_MAX: Final = 2_048
PLUGIN_CPU_S_DEFAULT: Final = 10
PLUGIN_CPU_S_MAX: Final = 900
PLUGIN_FILES_DEFAULT: Final = 64
PLUGIN_FILES_MIN: Final = 16  # fewer do not even import
PLUGIN_FILES_MAX: Final = 512
PLUGIN_THREADS_MAX: Final = 64
PLUGIN_OUTPUT_BYTES_MAX: Final = 16 * 1024  # of a call, for the log; more is dropped
PLUGIN_FLOOD_BYTES_MAX: Final = 256 * 1024  # past the bounded output: it is ended
PLUGIN_MESSAGE_BYTES_MAX: Final = 512 * 1024  # of one message between pod and plugin
PLUGIN_SERVICES_MAX: Final = 1_000  # connections, and keys read and written, in one call
PLUGIN_CONNECT_S_MAX: Final = 5.0
PLUGIN_RESOLUTIONS_MAX: Final = 2  # of one plugin at once: each keeps a thread of the next number
PLUGIN_RESOLVERS: Final = 16  # threads of a pod for the names of all its plugins
PLUGIN_HOSTS_MAX: Final = 32
PLUGIN_KEYS_MAX: Final = 32  # patterns of keys in a manifest
PLUGIN_VALUES_MAX: Final = 1_000  # keys that one plugin of a tenant keeps
PLUGIN_VALUE_BYTES_MAX: Final = 16 * 1024  # with the bound above 16 MB of the store
PLUGIN_VALUE_TTL_S: Final = 7 * 86_400.0  # what is not written again is forgotten
PLUGIN_SLOW_TIMEOUT_S_MAX: Final = 240.0  # of a call behind the turn; below LATER_RUN_S_MAX
PLUGIN_MANIFEST_BYTES_MAX: Final = 64 * 1024
PLUGIN_DESCRIPTION_CHARS_MAX: Final = 2_000
PLUGIN_SCHEMA_BYTES_MAX: Final = 16 * 1024  # every call of a language model carries it
PLUGIN_HOOKS_MAX: Final = 64
PLUGIN_EXAMPLES_MAX: Final = 200  # of one hook

# Handoffs to people (engine/handoff.py, docs/how-to/handoff.md).
HANDOFF_REASON_CHARS_MAX: Final = 500
HANDOFF_NAME_CHARS_MAX: Final = 100  # of the person
HANDOFF_NOTED_S: Final = 7 * 86_400  # a session in which nobody spoke for so long counts no more
HANDOFFS_MAX: Final = 10_000  # counted at once; at 80 bytes each 1 MB of the store
HANDOFFS_COUNTED_EVERY_S: Final = 15.0
HANDOFFS_LOOKED_AT: Final = 1_000  # for the list of one tenant

# Drafts of an FAQ (engine/drafting.py, docs/how-to/faq.md).
FAQ_DRAFTS_MAX: Final = 500  # wordings of a knowledge base; of more the rarest go
FAQ_DRAFT_WORDINGS_MAX: Final = 200  # compared with each other: the encoder takes a second
FAQ_DRAFT_EXAMPLES_MAX: Final = 5  # of a wording
FAQ_DRAFTS_KEPT_S: Final = 90 * 86_400  # after the last question
FAQ_DRAFT_AGAIN: Final = 5  # so often asked again, what was dismissed is shown again
FAQ_DRAFTS_PAGE_MAX: Final = 20  # each costs a search and reads of two sessions
FAQ_DRAFT_TURNS_READ: Final = 20  # of a session, behind the question: a person's answer is there

# Acting (engine/acting/).
ACTED_TEXT_CHARS_MAX: Final = 4_000  # of a plugin's result in an answer; its frame has more
ACTION_CHARS_MAX: Final = 2_000  # with all arguments of a call that a language model wants
PROPOSAL_CHARS_MAX: Final = 500  # a yes is asked for a sentence, not for a page
INTENT_KEPT: Final = 0.9  # of the examples that would be recognised; the rest is too near strangers
INTENT_CHANCE_MIN: Final = 0.2  # of the best candidate: below it no language model is asked
INTENT_LEARNING_WAIT_S: Final = 3.0  # the first message of a pod, until it has learned its examples
INTENT_LEARNING_AGAIN_S: Final = 5.0  # an encoder elsewhere that was away is asked again
REFERENCE_EXCHANGES_MAX: Final = 5  # of a conversation: what "it" means was said just before
