"""Every bound of the product in one place, with its unit in its name and its reason beside it."""

from typing import Final

# Requests. HAProxy sees the body only up to one buffer; what we accept is our own decision.
BODY_BYTES_MAX: Final = 10 * 1024 * 1024
JSON_DEPTH_MAX: Final = 32
JSON_VALUES_MAX: Final = 200_000  # 10 MB of "[]," would cost 400 MB and a second of the loop
MESSAGE_CHARS_MAX: Final = 32_000
CONTEXT_BYTES_MAX: Final = 64 * 1024
IDEMPOTENCY_KEY_CHARS_MAX: Final = 256  # only a digest of it is kept
QUERY_CHARS_MAX: Final = 4_000
TOP_K_DEFAULT: Final = 4
TOP_K_MAX: Final = 50
RERANK_HITS: Final = 20  # the right passage is rarely below; each costs a model 10 ms or more
RERANK_TIMEOUT_S: Final = 2.0  # 20 passages take a small model 0.5 s of a core
RERANK_PAUSE_S: Final = 5.0  # a reranker that failed is left alone: each turn would wait for it
PAGE_SIZE_DEFAULT: Final = 50
PAGE_SIZE_MAX: Final = 200
DOCUMENT_WORDS_CHARS_MAX: Final = 200  # what is looked for in names and titles
DOCUMENTS_PAGE_MAX: Final = 1_000  # rows are small, and most knowledge bases fit on one page

# Turns.
QUEUED_TURNS_MAX: Final = 32
RUNNING_TURNS_PER_POD_MAX: Final = 512
TURN_ATTEMPTS_MAX: Final = 3  # the third owner lost by one turn ends it as turn_crashed
FIRST_TEXT_TIMEOUT_S: Final = 10.0
PROGRESS_TIMEOUT_S: Final = 30.0
TURN_TIMEOUT_S: Final = 900.0
JSON_WAIT_MAX_S: Final = 60.0  # then 202 with Location
CLAIM_ENTRY_AGE_MAX_S: Final = (
    5.0  # a claim older than this is refused: its index entry may be swept
)
RUNNING_ENTRY_YOUNG_S: Final = 10.0  # the sweeper leaves entries younger than this
PROGRESS_NOTED_S: Final = 5.0  # noting it with each flush would double what a flush writes
# A turn that stands still on a living pod is taken from it, after its own time limits had their
# chance: the pod that hangs cannot end it.
STUCK_TURN_S: Final = PROGRESS_TIMEOUT_S + 2 * PROGRESS_NOTED_S
ANSWER_CHARS_MAX: Final = 200_000
CITATION_HELD_CHARS_MAX: Final = 12  # of a possible mark, until it is whole: " [1][3][12]"
# A language model that failed so often in a row is asked by nobody for a while, at first short,
# since each failure costs a turn up to FIRST_TEXT_TIMEOUT_S.
BREAKER_FAILURES: Final = 3
BREAKER_OPEN_S: Final = 30.0  # twice as long each further time
BREAKER_OPEN_S_MAX: Final = 240.0  # a server that is back is used within four minutes
BREAKER_PROBE_S: Final = 15.0  # a probe that says nothing for so long has died: connect, first text
BREAKER_LOOK_S: Final = 5.0  # between looks of a pod at whether it is open
LLM_CONNECT_TIMEOUT_S: Final = 3.0  # a server that is there accepts at once

# GET /ask while the session store is away: without session, frames and tools, in one go.
DIRECT_ANSWERS_MAX: Final = 32  # at once; each may hold a call of the language model
DIRECT_ANSWER_S: Final = 20.0  # then the passages alone answer
STORE_AWAY_S: Final = 2.0  # for so long after it failed one request at a time tries the store

# Prompts: 35,000 characters at most before tools are called, which a context of 32k tokens holds
# even in Chinese.
PROMPT_QUESTION_CHARS_MAX: Final = 8_000
PROMPT_PASSAGES_CHARS_MAX: Final = 16_000
PROMPT_HISTORY_CHARS_MAX: Final = 6_000
PROMPT_HISTORY_TEXT_CHARS_MAX: Final = 1_500  # one message or answer of it
PROMPT_SUMMARY_CHARS_MAX: Final = 2_000
PROMPT_RULES_CHARS_MAX: Final = 3_000  # with the marks
PROMPT_CHARS_MAX: Final = 35_000  # the sum
PROMPT_CHARS_MIN: Final = 6_000  # about 1,500 tokens: rules, two passages and a question

# Understanding. It comes before everything else, so a turn waits for a model little; without its
# answer the rules' question is searched.
UNDERSTANDING_TIMEOUT_S: Final = 2.0
REWRITTEN_CHARS_MAX: Final = 400  # besides those of the message
DRAFT_TIMEOUT_S: Final = 4.0  # three sentences, of whoever asked for HyDE
DRAFT_CHARS_MAX: Final = 1_000
QUESTION_PARTS_MAX: Final = 3  # each costs a search

# Tools. A turn waits for one as long as it may go without progress, and no longer.
TOOLS_MAX: Final = 64
TOOLS_FILE_BYTES_MAX: Final = 256 * 1024
TOOL_ROUNDS_MAX: Final = 5  # then the language model is offered none and has to answer
TOOL_CALLS_PER_ROUND_MAX: Final = 8  # further ones are dropped; the model may ask again
TOOL_ARGUMENTS_CHARS_MAX: Final = 8_000  # JSON, of one call
TOOL_CONNECT_TIMEOUT_S: Final = 3.0
TOOL_TIMEOUT_S_DEFAULT: Final = 10.0
TOOL_TIMEOUT_S_MAX: Final = PROGRESS_TIMEOUT_S
TOOL_ANSWER_BYTES_MAX: Final = 256 * 1024
TOOL_RESULT_CHARS_MAX: Final = 8_000  # JSON; what is beyond is neither kept nor used
PROMPT_TOOL_RESULTS_CHARS_MAX: Final = 16_000  # each round may take half of what is left

# An encoder elsewhere. 32 texts are what the smallest of the usual servers take by default.
ENCODER_INPUTS_MAX: Final = 32
ENCODER_TEXT_CHARS_MAX: Final = 8_000  # several times the window of most models
ENCODER_REQUEST_CHARS_MAX: Final = 64_000  # one text at least, 32 of a passage's usual size
ENCODER_DIMENSION_MAX: Final = 8_192
ENCODER_ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024  # 32 such vectors, written as decimals
ENCODER_CONNECTIONS_MAX: Final = 16  # of a pod, kept open
ENCODER_CONNECT_TIMEOUT_S: Final = 3.0
ENCODER_QUESTIONS_TIMEOUT_S: Final = 2.0  # then a search goes by words alone
ENCODER_PASSAGES_TIMEOUT_S: Final = 60.0
ENCODER_PASSAGES_ATTEMPTS_MAX: Final = 6  # 15 s of pauses; then the whole build is tried again
ENCODER_PAUSE_MAX_S: Final = 30.0  # a server may ask for as much
ENCODER_REST_MIN_S: Final = 1.0
ENCODER_REST_MAX_S: Final = 15.0

# Embeddings for others. As many texts as OpenAI takes.
EMBEDDING_INPUTS_MAX: Final = 2_048
EMBEDDING_TEXT_CHARS_MAX: Final = 100_000  # what is behind the model's window is cut anyway
EMBEDDING_REQUEST_CHARS_MAX: Final = 1_000_000  # half a minute of one core
EMBEDDING_REQUESTS_MAX: Final = 512  # at once; what is beyond waits in the listening socket

# Frames.
FRAMES_PER_TURN_MAX: Final = 20_000
TEXT_WINDOW_MIN_S: Final = 0.025  # pieces that come within it share a frame; at first short,
TEXT_WINDOW_MAX_S: Final = 0.2  # after a while longer, so that a long answer costs few writes
TEXT_WINDOW_GROWS_S: Final = 2.0
FRAMES_PENDING_CHARS_MAX: Final = 64 * 1024  # more than this waits until the store took some
FRAME_RETENTION_S: Final = 600
FRAMES_READ_MAX: Final = 500
FOLLOWER_POLL_S: Final = 1.0  # catches a lost pub/sub message
HEARTBEAT_IDLE_S: Final = 20.0
HEARTBEAT_RUNNING_S: Final = 2.0
STREAMS_PER_POD_MAX: Final = 12_000
REQUESTS_PER_POD_MAX: Final = STREAMS_PER_POD_MAX + 500  # at once, streams among them
# gRPC. A request has a message and a history at most; the balancer opens as many connections as it
# needs.
GRPC_MESSAGE_BYTES_MAX: Final = 1024 * 1024
GRPC_CALLS_PER_POD_MAX: Final = 4_000  # at once; a process beside the pod's holds 30 kB for each
GRPC_STREAMS_PER_CONNECTION_MAX: Final = 1_000
GRPC_POD_SILENCE_S: Final = 5.0  # of the pod, when it makes a session or says whether it is ready
# A client that takes no byte for so long is cut off; it can resume. One event may be 800 kB, so it
# is sent in pieces, and a link of 1 kB a second is quick enough.
CLIENT_STALL_S: Final = 20.0
CLIENT_PIECE_BYTES: Final = 16 * 1024
# What the kernel keeps for a client that does not read: twice this, where it would take 4 MB.
CLIENT_BUFFER_BYTES: Final = 64 * 1024
# Of a request's head. The largest that gunicorn takes; the balancer's own buffer is larger.
HEADER_LINE_BYTES_MAX: Final = 8_190
HEADERS_MAX: Final = 100
# For a JSON body to arrive. The balancer waits 10 s for what fits into its buffer (128 kB); the
# rest of 10 MB may come over a link of 4 Mbit a second.
BODY_TIMEOUT_S: Final = 30.0

# Hot answers. What is kept of them in Redis is twice the bytes at most: they are counted by the
# life of the first one.
HOT_ANSWERS_TTL_S_DEFAULT: Final = 3600
HOT_ANSWERS_BYTES_MAX: Final = 32 * 1024 * 1024  # 25,000 usual ones; then none for a while
HOT_ANSWER_BYTES_MAX: Final = 64 * 1024  # compressed, of one; a longer one is rare and not kept
HOT_QUESTION_CHARS_MAX: Final = 1_000  # what is longer is hardly asked twice
HOT_SHARES: Final = 256  # slots of a Cluster; two digits of a digest
HOT_ASKED_BITS: Final = 32_768  # of a share; 1 MiB a tenant and period in all
HOT_ASKED_S: Final = 3600.0  # questions are remembered for one to two such periods
HOT_LOOK_S: Final = 0.05  # for a look, then the answer is made: a tenth of what that takes
HOT_LOOK_PAUSE_S: Final = 1.0  # without looks after one that failed or took too long
HOT_FOLLOW_S: Final = 1.0  # without a frame of the author, then the answer is made here as well
HOT_AUTHOR_S: Final = 60.0  # a turn is followed; longer answers are made again by those who come
HOT_SIMILAR_ENTRIES_MAX: Final = 2_000  # questions that a pod knows by their words: under 1 MB
# What was found for a question, in a pod's memory: four passages are about 10 kB.
FOUND_BYTES_MAX: Final = 16 * 1024 * 1024
FOUND_ENTRIES_MAX: Final = 4_096

# How much must speak for a passage, or the answer is "I don't know" (``engine.evidence``). One
# figure serves all models, because closeness is on one scale for all; docs/how-to/answers.md tells
# how to find the one that fits one's own documents. Measured in load/results/answers.md.
EVIDENCE_MIN: Final = 0.65

# Cited sources. What they open never changes, but it may be withdrawn: for so long a copy elsewhere
# may outlive a purge. Five minutes spare nearly all requests for what many people open at once.
SOURCE_CACHE_S_DEFAULT: Final = 300

# Sessions.
MAX_HISTORY_TURNS: Final = 10
# Ten turns with their sources take about 30 kB: bytes are full at about a thousand sessions, the
# number is for many that have a turn or two.
SESSION_CACHE_ENTRIES_MAX: Final = 4_096
SESSION_CACHE_BYTES_MAX: Final = 32 * 1024 * 1024
SESSION_TTL_S_DEFAULT: Final = 48 * 3600
SESSION_IDLE_S_DEFAULT: Final = 30 * 60
SESSIONS_INDEX_MAX: Final = 10_000  # newest sessions kept in a list: a principal's, a tenant's
DELETED_KEPT_S: Final = 3600  # for so long a late retry of a deleted session's turn is refused

# The archive of sessions. A sweep takes about 0.1 s for each where the artifact store is S3.
ARCHIVE_KEPT_S_DEFAULT: Final = 90 * 86_400
ARCHIVE_SWEEP_S: Final = 30.0  # between sweeps; a fourth of the idle time where that is less
ARCHIVED_PER_SWEEP_MAX: Final = 200  # a sweep that was full is followed by the next one
ARCHIVE_TIDY_S: Final = 60.0  # between looks into one bucket of copies, of SESSION_BUCKETS
ARCHIVE_TIDIED_MAX: Final = 1_000  # copies removed, or read, in one look
ARCHIVE_TENANTS_PER_LOOK: Final = 200  # those of others are looked into a look later
ARCHIVE_SAMPLE: Final = 4  # copies of a bucket about which the session store is asked
ARCHIVED_SESSION_BYTES_MAX: Final = 64 * 1024 * 1024  # a longer one stays until its life ends
IDLE_SHARDS: Final = 16

# Credentials. A pod reads all keys when one changed: 10,000 are 6 MB and 80 ms of its loop.
API_KEYS_MAX: Final = 10_000  # beyond it none is created
API_KEYS_KNOWN_S: Final = 2.0  # a pod knows of a key, or of its end, within this time
API_KEYS_STALE_S_MAX: Final = 3600.0  # longer, a key that was revoked is as good as any
API_KEY_LABEL_CHARS_MAX: Final = 200
LOGIN_S: Final = 7 * 86_400  # of the page's cookie; less where its key ends sooner
LOGIN_KNOWN_S: Final = 2.0  # a pod knows that a login was ended elsewhere within this time
LOGINS_KNOWN_MAX: Final = 10_000  # that a pod remembers as good, or ended; 2 MB
LOGIN_USER_CHARS_MAX: Final = 1_000  # an issuer's name of somebody, percent-encoded, and a prefix

# Presence.
POD_HEARTBEAT_S: Final = 0.5
POD_TTL_S: Final = 2.0
SWEEP_S: Final = 1.0
SWEEP_TURNS_MAX: Final = 32  # turns taken over in one sweep
SWEEP_LOOKS: Final = 8  # of all pods at a part of the index in SWEEP_S; fewer pods all look
SWEEP_ASKS_PER_S: Final = 8.0  # addresses of owners that have heartbeats, by one pod's sweeps
RUNNING_SHARDS: Final = 16
LEAVE_WAIT_S: Final = 5.0  # from "you will be stopped" until every balancer has seen it, and more
LEAVE_ENDS_S: Final = 60.0  # a pod that was told to leave and not stopped ends by itself
DRAIN_SETTLE_S: Final = 1.0  # until the balancer's check (every 0.5 s) has seen that a pod leaves
DRAIN_FINISH_S: Final = 8.0  # what runs longer is handed over to another pod
DRAIN_MAX_S: Final = 20.0

# Events.
BUS_STREAM_LENGTH_MAX: Final = 10_000
TURN_SINK_BATCH_MAX: Final = 500  # entries kept at once: with texts some MB
TURN_SINK_BODY_BYTES_MAX: Final = 5 * 1024 * 1024  # of one request; Elasticsearch's bound is 100 MB
TURN_SINK_ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024  # 500 reasons of some kB
TURN_SINK_TIMEOUT_S: Final = 30.0  # of one request; Kafka waits five minutes for the next look
TURN_SINK_WAIT_S_MAX: Final = 10.0  # between attempts
TURN_SINK_IDS_MAX: Final = 20_000  # newest ids of a file: 40 batches, 4 MB
TURN_SINK_QUEUE_MAX: Final = 1_000_000  # entries that RabbitMQ keeps for a sink that is away
BUS_READ_MAX: Final = 200
EVENT_UNSENT_MAX_S: Final = 300.0  # then it is dropped, so that the index stays small
TURN_LOG_UNSENT_MAX_S: Final = 900.0  # the same for the log of turns
BUS_UNACKNOWLEDGED_MAX: Final = 1_000  # events of one pod on their way to the broker
RECONCILE_S: Final = 30.0

# Knowledge.
DOCUMENT_BYTES_MAX: Final = 100 * 1024 * 1024
DOCUMENT_CHARS_MAX: Final = 20_000_000
# What a ZIP archive (DOCX, PPTX, XLSX, EPUB) may unpack to. A part that is read as a tree takes
# about ten times its size in memory; sheets are read row by row. 20 million characters have room.
ZIP_MEMBERS_MAX: Final = 20_000
ZIP_PART_BYTES_MAX: Final = 64 * 1024 * 1024
ZIP_BYTES_MAX: Final = 512 * 1024 * 1024
XML_DIGITS_MAX: Final = 9  # of a number that counts or names something
SHEET_CELLS_MAX: Final = 1_000_000  # with something in them; more is a database, not a document
PDF_PAGES_MAX: Final = 5_000  # the longest manuals; a page takes some 20 ms and 30 kB until the end
PDF_PAGE_CHARS_MAX: Final = 200_000  # a page of a newspaper has 30,000; more is no page for readers
PDF_PAGE_OBJECTS_MAX: Final = 20_000  # pictures and paths; a drawing of more rules no table
DOCUMENT_PASSAGES_MAX: Final = 100_000  # the longest text in passages of a fourth of the usual size
# Entries of an FAQ that are kept one by one. In Chinese a question and its answer weigh 6,200, so
# that an entry stays one passage (four times CHUNK_CHARS_MAX) and is shown whole.
FAQ_QUESTION_CHARS_MAX: Final = 200
FAQ_ANSWER_CHARS_MAX: Final = 2_900
FAQ_TAGS_CHARS_MAX: Final = 200  # together, as they stand above the entry
FAQ_VARIANTS_MAX: Final = 20
FAQ_LISTED_MAX: Final = 20_000  # entries that a pod lists of a knowledge base: about 10 MB
FAQ_LOOKED_AT_MAX: Final = 100_000  # passages of tables read for that: about 2 s, once
CHUNK_CHARS_TARGET: Final = 800
CHUNK_CHARS_MAX: Final = 1_600
SEGMENTS_MAX: Final = 8  # the goal: more are merged, at once where they are small, else beside
SEGMENTS_HARD_MAX: Final = 16  # publishing itself keeps to this one
MERGED_AT_ONCE_ROWS_MAX: Final = 4_000  # 0.2 s; larger merges run beside what is published
MERGE_RETRY_S: Final = 60.0  # after a merge that failed; doubled with each further one
MERGE_RETRY_S_MAX: Final = 3600.0
GENERATIONS_KEPT: Final = 20
MANIFESTS_KEPT_MAX: Final = 1_000  # older ones open citations while their sessions live
ARTIFACT_CACHE_BYTES_DEFAULT: Final = 10 * 1024**3  # a dozen large generations
ARTIFACT_GRACE_S: Final = TURN_TIMEOUT_S + 300.0  # what a running turn may still read stays
BEHIND_WAIT_S: Final = 2.0
BEHIND_LEAVES_S: Final = 30.0  # as long as a pod may take that no event reached: RECONCILE_S
BEHIND_LOOK_S: Final = 2.0  # between looks at who serves what: each reads a row of every pod
PODS_READ_PER_S: Final = 50.0  # such rows, by one pod: a thousand pods look every 20 s

# Orders to the coordinator.
JOBS_QUEUED_MAX: Final = 1_000  # that have not ended; then 429
JOBS_LISTED_MAX: Final = 1_000
JOBS_DEAD_MAX: Final = 1_000
JOBS_KEPT_S: Final = 24 * 3600  # after their end
JOB_ATTEMPTS_MAX: Final = 3  # begun so often without an end, a job is poison

# Uploads. What arrives lies on the pod's disk until it is whole, then in the artifact store.
DOCUMENT_NAME_BYTES_MAX: Final = 1_024
UPLOAD_BYTES_MAX: Final = DOCUMENT_BYTES_MAX + 1024 * 1024  # of one request, with the form around
UPLOAD_FILES_MAX: Final = 50  # in one request
UPLOADS_PER_POD_MAX: Final = 4  # that arrive at once: 404 MiB of disk
UPLOAD_TIMEOUT_S: Final = 600.0  # for one to arrive; slow clients must not keep others out
UPLOADS_QUEUED_MAX: Final = 800  # less than jobs: deletions and rollbacks find a place behind them
UPLOAD_JOBS_KEPT_S: Final = 3600  # after their end: there may be many
UPLOADS_PLACED_MAX: Final = 64  # put into the folder before it is read again
UPLOAD_ORPHANED_S: Final = 3600.0  # then bytes that no job names are removed
REVISION_LOOKED_FOR_S: Final = 5.0  # through older generations for a revision of a document

# The publish gate.
PROBES_FILE_BYTES_MAX: Final = 256 * 1024
PROBES_MAX: Final = 200
PROBE_DOCUMENTS_MAX: Final = 16
PROBE_PHRASE_CHARS_MAX: Final = 500
GATE_TIMEOUT_S: Final = 60.0  # then it judges by the probes that it has asked
GATE_TOLD_MAX: Final = 20  # lost probes that a held build names

# The store. A pool that is exhausted answers 429 rather than wait for ever.
REDIS_POOL_MAX: Final = 64
REDIS_POOL_WAIT_S: Final = 2.0  # for a connection, then 429
REDIS_WRITERS_MAX: Final = 16  # connections for what accepted turns write, before new requests
REDIS_HOT_ANSWERS_MAX: Final = 16  # connections for hot answers; without one the answer is made
REDIS_USE_MAX: Final = 16  # connections for counting what is used; without one it is not counted
REDIS_BOOKKEEPERS_MAX: Final = 8  # for records, counts and feedback: nobody waits for most of it
REDIS_LINK_CALLS_MAX: Final = 4096  # on their way over one shared connection, then 429
REDIS_TIMEOUT_S: Final = 5.0  # for a reply, then 503
REDIS_CONNECT_TIMEOUT_S: Final = 2.0
# Less than the time-out of a socket; more than a hiccup of a replica, which answers in under 1 ms.
CONFIRM_TIMEOUT_S: Final = 1.0

# The coordinator.
FILE_STABLE_S: Final = 0.25  # a file that did not change for so long has been written whole
FILE_PENDING_MAX_S: Final = 10.0  # one that never comes to rest must not hold up the others
WATCH_DEBOUNCE_MS: Final = 300
FOLDER_SCAN_S: Final = 2.0  # finds what no notification told, as on network folders
LEADER_TTL_S: Final = 5.0
READING_CHILDREN: Final = 2  # one that hangs must not keep the others waiting
READING_MEMORY_BYTES_MAX: Final = 1536 * 1024**2  # address space of a child
# Measured, the most of each kind: HTML of 20 MB 924 MiB, 20 million Chinese characters 583, rows
# of a table 392, a PDF or slides of 95 MB with pictures 244, a million cells 203, 2,000 pages 154.
# A PDF of 2,000 full pages computes for 60 s, be it 2 MB or 9: the longest text takes 200 s.
# On a busy machine a child of low priority gets a small part of a processor: so the clock allows
# thrice what is allowed of computing.
READING_COMPUTING_S: Final = 240.0
READING_COMPUTING_PER_MB_S: Final = 10.0
READING_COMPUTING_S_MAX: Final = 600.0
READING_WALL_S: Final = 720.0
READING_WALL_PER_MB_S: Final = 30.0
READING_WALL_S_MAX: Final = 1_800.0
# A reading that takes longer lets others go first, where they wait: one child stays for those.
READING_QUICK_S: Final = 10.0
READING_QUICK_PER_MB_S: Final = 1.0
READING_ANSWER_BYTES_MAX: Final = 128 * 1024**2  # 20 million Chinese characters are 60 MB
READING_PATIENCE_S: Final = 2.0  # then what has been read is published without what has not
READING_FIRST_PATIENCE_S: Final = 10.0  # the same of a first generation: nobody misses it yet
READING_EMPTY_S: Final = 60.0  # then pods may begin without the documents, which all hang
READING_START_S: Final = 60.0  # until a child is ready for its first document
READING_CHILD_DOCUMENTS_MAX: Final = 500  # then a fresh one goes on: libraries leak
READING_CHILD_GROWTH_BYTES_MAX: Final = 256 * 1024**2  # the same, above what it began with
GENERATION_PASSAGES_MAX: Final = 500  # new in one generation: what comes next waits about 10 s
GENERATION_PASSAGES_GROWN_MAX: Final = 8_000  # the same of a knowledge base of 64,000 or more
IGNORED_PATHS_SHOWN_MAX: Final = 20
TENANTS_LED_MAX: Final = 5_000  # by one coordinator; each takes a look every few seconds
TENANTS_SHOWN_MAX: Final = 100  # on a page about all of them
TENANTS_OPEN_DEFAULT: Final = 100  # on a pod; one takes about 1 MB beside its index

# Traces. A turn has some 15 spans of about 1 kB.
SPANS_WAITING_MAX: Final = 4_096
SPANS_PER_EXPORT_MAX: Final = 64  # encoding them holds up the loop that serves, for about 3 ms
SPAN_EXPORT_TIMEOUT_S: Final = 5.0
SPAN_FACTS_MAX: Final = 32
SPAN_EVENTS_MAX: Final = 8
SPAN_TEXT_CHARS_MAX: Final = 256
BALANCED_MAX_S: Final = 60.0  # a body may take 10 s, the queue 5 s, each of three tries 1 s

# Experiments, analytics and audit records.
EXPERIMENT_FILE_BYTES_MAX: Final = 64 * 1024
ANALYTICS_DAYS_KEPT: Final = 35  # five weeks: each weekday compares with four before it
ANALYTICS_QUESTIONS_MAX: Final = 1_000  # of each kind, tenant and day: 150 kB
ANALYTICS_QUESTION_CHARS_MAX: Final = 200
ANALYTICS_TOLD_MAX: Final = 50  # questions in one answer
TOP_QUESTIONS_SHOWN: Final = 10  # series of a metric at a time, for each tenant
TOP_QUESTIONS_TENANTS_MAX: Final = 20
TOP_QUESTION_CHARS_MAX: Final = 120  # of a label's value
TOP_QUESTIONS_DAYS: Final = 7
TOP_QUESTIONS_EVERY_S: Final = 60.0  # as often as a scraper needs of what changes in hours
ANALYTICS_COUNTED_S: Final = 2 * 3600  # for so long a turn that is counted again is noticed
FEEDBACK_COMMENT_CHARS_MAX: Final = 1_000
AUDIT_RECORD_BYTES_MAX: Final = 256 * 1024  # as JSON; longer texts are cut, with a mark
AUDIT_WAIT_S: Final = 0.2  # a commit waits for its record no longer than this
AUDIT_TURNS_MAX: Final = 20  # records of one trace that are kept and shown: clients name traces
