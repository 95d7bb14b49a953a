"""One of everything that Redis keeps of what users and models wrote, with a word to look for."""

from datetime import UTC, datetime
from typing import Any, Final

from kotaemon_node.adapters.redis import (
    RedisAnalytics,
    RedisColdSessions,
    RedisFeedback,
    RedisFrameLog,
    RedisHotAnswers,
    RedisJobs,
    RedisLastGood,
    RedisLater,
    RedisPluginStorage,
    RedisSessionStore,
    RedisStore,
    RedisTurnRecords,
)
from kotaemon_node.adapters.redis.faq_drafts import RedisFaqDrafts
from kotaemon_node.adapters.redis.handoffs import RedisHandoffs
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.handoff import Handoff, handback_frame
from kotaemon_node.domain.session import Principal, SessionKey, SessionView, Turn, TurnKey
from kotaemon_node.domain.summary import Summary
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.analytics import Tally
from kotaemon_node.ports.faq_drafts import Unmet
from kotaemon_node.ports.feedback import Feedback
from kotaemon_node.ports.frame_log import FrameBatch
from kotaemon_node.ports.hot_answers import AnswerName, HotAnswer
from kotaemon_node.ports.jobs import Order
from kotaemon_node.ports.later import LaterJob
from kotaemon_node.ports.plugin_storage import PluginName
from kotaemon_node.ports.sessions import ClaimRequest, Ending, Work
from kotaemon_node.ports.tools import Caller
from kotaemon_node.ports.turn_records import TurnRecord

WORD: Final = "quizzaciously-CANARY-7f3a91"
SAID: Final = f"please tell {WORD} of my parcel"
ANN: Final = Principal("shop", "ann", "customer")
AT: Final = datetime(2026, 5, 1, 12, tzinfo=UTC)
ANSWER: Final = AnswerName("shop", "ab" * 32, "cd" * 32)
CALLER: Final = Caller("shop", "talk", user_id="ann")
PLUGIN: Final = PluginName("shop", "notes")
ARCHIVED_KEPT_S: Final = 90 * 86_400


class Story:
    """Writes it all through the adapters of one store, as a pod does."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.sessions = RedisSessionStore(store, ttl_s=3600, idle_s=1800)
        self.frames = RedisFrameLog(store, clock=SystemClock(), tasks=ThreadTasks())
        self.handoffs = RedisHandoffs(store, ttl_s=3600)
        self.feedback = RedisFeedback(store)
        self.records = RedisTurnRecords(store, kept_s=3600)
        self.cold = RedisColdSessions(store)
        self.hot = RedisHotAnswers(store, ttl_s=600)
        self.last_good = RedisLastGood(store)
        self.storage = RedisPluginStorage(store)
        self.later = RedisLater(store)
        self.jobs = RedisJobs(store)
        self.drafts = RedisFaqDrafts(store)
        self.analytics = RedisAnalytics(store)

    def tell(self) -> None:
        """Write one of each."""
        self.talk()
        self.books()
        self.kept()
        self.queues()

    def talk(self) -> None:
        """A finished turn, one that runs, one that waits; handoffs; one session in the archive."""
        key = session("talk")
        self.sessions.create(
            key, ANN, epoch="e1", fields={"user_id": "ann", "context": {"note": SAID}}
        )
        self.finish(self.run("talk", "t1"), handoff=True)
        self.feedback.put(turn("talk", "t1"), Feedback("down", SAID, AT.timestamp()))
        self.handoffs.end(
            key,
            {**handback_frame(at=AT.timestamp(), by="agent"), "reason": SAID},
            epoch="e1",
            event_id="event",
            trace_id="trace",
        )
        taken = self.sessions.seize(turn("talk", "event"), "pod", from_owner="")
        assert taken is not None
        self.finish(taken)
        self.run("talk", "t2")
        self.claim("talk", "t3")
        self.handoffs.begin(
            key, Handoff(AT.timestamp(), SAID, "agent"), epoch="e1", event_id="h2", trace_id="t"
        )
        self.handoffs.note(key, AT.timestamp())
        self.claim("rests", "t1")
        view = self.load("rests")
        work = self.sessions.seize(turn("rests", "t1"), "pod", from_owner=None)
        assert work is not None
        self.finish(work)
        self.sessions.relist(session("rests"))
        copy = self.cold.copy(session("rests"))
        assert copy is not None
        assert view.epoch == copy.name.epoch
        assert self.cold.archive(copy, rested_s=0, kept_s=ARCHIVED_KEPT_S) == "ok"

    def books(self) -> None:
        """What is kept of turns."""
        self.records.put(
            TurnRecord(turn("talk", "t1"), "trace", "e1", 1, {"at": 1.0, "prompt": SAID})
        )
        day = Tally("shop", AT, "default", "once", {"turns": 1}, question=SAID, unanswered=True)
        self.analytics.add(day)
        self.drafts.note(
            Unmet(turn("talk", "t1"), "kb", SAID, version=1, at=AT.timestamp(), down=True)
        )

    def kept(self) -> None:
        """What is kept for others."""
        asker = turn("talk", "t1")
        self.hot.look(ANSWER, asker)
        self.hot.look(ANSWER, asker)
        assert self.hot.keep(ANSWER, asker, HotAnswer(SAID, ({"text": SAID},), generation=1))
        self.last_good.keep(CALLER, "orders", "{}", SAID)
        self.storage.set(PLUGIN, "note", SAID, ttl_s=600)

    def queues(self) -> None:
        """A job that waits with an error, a dead letter; an order that waits, one that failed."""
        for name in ("waits", "dies"):
            self.later.put(LaterJob(name, "webhook", "shop", fields={"body": SAID}))
        for leased in self.later.take({"webhook": 2}, holder="pod", lease_s=60):
            if leased.job.id == "waits":
                self.later.again(leased, delay_s=60, error=SAID, counts=True)
            else:
                self.later.bury(leased, error=SAID)
        for name in ("fails", "stays"):
            self.jobs.submit(Order(name, "faq", "shop", "kb", fields={"question": SAID}))
        job = self.jobs.begin("shop")
        assert job is not None
        self.jobs.fail(job, SAID, dead=True)

    def claim(self, of: str, turn_id: str) -> Work | None:
        """Send a message."""
        return self.sessions.claim(
            ClaimRequest(
                key=turn(of, turn_id),
                principal=ANN,
                digest="0" * 32,
                message=SAID,
                options={"kb": SAID},
                on_busy="enqueue",
                owner="pod",
                trace_id="trace",
                create_session=True,
                new_epoch=f"epoch-{turn_id}",
            )
        ).work

    def run(self, of: str, turn_id: str) -> Work:
        """Send a message, and write some of the answer."""
        work = self.claim(of, turn_id)
        assert work is not None
        bodies = (
            FrameBody("status", {"phase": SAID}),
            FrameBody("text", {"content": SAID, "offset": 0}),
            FrameBody("source", {"docs": [{"text": SAID}]}),
        )
        batch = FrameBatch(work.lease, 1, bodies, (("decided", {"query": SAID}),))
        assert self.frames.append([batch]) == [None]
        return work

    def finish(self, work: Work, *, handoff: bool = False) -> None:
        """End a turn."""
        stored = self.frames.read(work.lease.key, after=0, limit=100, trace_id="")
        ended = Turn(
            work.lease.key.turn_id, work.message, State.DONE, answer=SAID * 40, trace_id="trace"
        )
        version = work.session.version + 1
        ending = Ending(
            ended,
            FrameBody("done", {"finish": SAID}),
            stored.last + 1 + int(handoff),
            state=DialogueState(slots={"order": SAID}, topic=SAID),
            summary=Summary(SAID, to=version),
            handoff=Handoff(AT.timestamp(), SAID, "tool") if handoff else None,
        )
        self.sessions.commit(work.lease, ending, take_next=False)

    def load(self, of: str) -> SessionView:
        """Read a session."""
        return self.sessions.load(session(of), ANN, after_version=0, limit=100)


def session(name: str) -> SessionKey:
    """Return the name of a session."""
    return SessionKey("shop", name)


def turn(of: str, turn_id: str) -> TurnKey:
    """Return the name of a turn."""
    return TurnKey(session(of), turn_id)


def read_all(story: Story) -> dict[str, Any]:
    """Return everything of a story as its readers see it."""
    view = story.load("talk")
    day = story.analytics.days("shop", [AT.date()])[0]
    return {
        "view": view,
        "running": story.sessions.turn(turn("talk", "t2"), ANN),
        "waiting": story.sessions.turn(turn("talk", "t3"), ANN),
        "finished": story.sessions.turn_and_last_seq(turn("talk", "t1"), ANN),
        "frames": story.frames.read(turn("talk", "t2"), after=0, limit=99, trace_id=""),
        "activity": story.sessions.activity(session("talk"), ANN, after_version=0, limit=9),
        "list": [row.title for row in story.sessions.list(ANN, offset=0, limit=9)],
        "handed": story.handoffs.waiting("shop", limit=9),
        "feedback": story.feedback.of(session("talk"), ["t1"]),
        "records": story.records.find("shop", "trace"),
        "asked": (day.asked, day.unanswered),
        "drafts": [row.question for row in story.drafts.rows("shop", "kb")],
        "hot": story.hot.get(ANSWER),
        "last_good": story.last_good.find(CALLER, "orders", "{}"),
        "kept": story.storage.get(PLUGIN, "note"),
        "later": [(row.fields, row.error) for row in story.later.waiting("shop", limit=9)],
        "letters": [(row.fields, row.error) for row in story.later.dead("shop", limit=9)],
        "jobs": [(job.order.fields, job.reason) for job in story.jobs.list("shop", limit=9)],
    }
