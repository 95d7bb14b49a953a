"""Composes a worker pod out of the parts in ``composition``."""

import os

import structlog

from kotaemon_node import __version__
from kotaemon_node.adapters.redis import RedisJobs
from kotaemon_node.adapters.redis.handoffs import RedisHandoffs
from kotaemon_node.adapters.store.factory import StorePlace, make_artifact_store
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.adapters.system.gevent_tasks import GeventTasks
from kotaemon_node.adapters.system.peers import HttpPeers
from kotaemon_node.api.app import create_app
from kotaemon_node.api.services import Services
from kotaemon_node.api.websocket.rules import SocketRules
from kotaemon_node.composition.acting import acting_of
from kotaemon_node.composition.admission import make_authority
from kotaemon_node.composition.afterwards import afterwards_of
from kotaemon_node.composition.audited import audited_of
from kotaemon_node.composition.bookkeeping import books_of
from kotaemon_node.composition.buses import bus_of
from kotaemon_node.composition.channels import channels_of
from kotaemon_node.composition.effects import effects_of
from kotaemon_node.composition.limiting import limiting_of
from kotaemon_node.composition.openai_offer import openai_of
from kotaemon_node.composition.outside import (
    guarded_model_of,
    memory_of,
    reranking_of,
    terms_of,
)
from kotaemon_node.composition.places import (
    encoder_of,
    encoders_of,
    upload_desk_of,
)
from kotaemon_node.composition.recognising import intents_of
from kotaemon_node.composition.remembered import remembering_of, settings_version
from kotaemon_node.composition.sealing import sealing_of
from kotaemon_node.composition.stores import durable_of, stores_of
from kotaemon_node.composition.tenants import tenants_of
from kotaemon_node.composition.vector_stores import neighbours_of
from kotaemon_node.composition.voice import voice_of
from kotaemon_node.domain.events import CONFIG_UPDATED, KNOWLEDGE_UPDATED, SESSION_UPDATED
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.limits import TOP_K_DEFAULT
from kotaemon_node.engine.acting.step import Acting
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.direct import DirectAnswers
from kotaemon_node.engine.draft_desk import FaqDraftDesk
from kotaemon_node.engine.handing import HandoffDesk
from kotaemon_node.engine.handoff import Persons
from kotaemon_node.engine.owners import Owners
from kotaemon_node.engine.pod import Identity, Pod
from kotaemon_node.engine.recovery import Recovery
from kotaemon_node.engine.turn_log import TurnLog
from kotaemon_node.engine.turns import TurnEngine
from kotaemon_node.engine.understanding.asking import Adviser
from kotaemon_node.engine.understanding.expanding import Expanding
from kotaemon_node.listeners.data_keys_updated import DataKeysUpdatedListener
from kotaemon_node.listeners.dispatch import Dispatch, Listener
from kotaemon_node.listeners.knowledge_updated import KnowledgeUpdatedListener
from kotaemon_node.listeners.session_updated import SessionUpdatedListener
from kotaemon_node.retrieval.question_closeness import QuestionCloseness
from kotaemon_node.running import RunningPod
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.logs import configure_logs
from kotaemon_node.telemetry.metrics import Metrics
from kotaemon_node.telemetry.tracing import Tracing

_log = structlog.get_logger(__name__)


def build_pod(settings: Settings) -> RunningPod:
    """Return the pod that ``settings`` describe; connects to nothing yet."""
    configure_logs(settings.log_level)
    clock, ids, metrics = SystemClock(), RandomIds(), Metrics()
    tasks = GeventTasks(native_threads=settings.native_threads)
    audited = audited_of(settings, clock=clock, ids=ids, counts=metrics.audit, program="worker")
    tracing = Tracing.of(settings, instance=settings.pod_name, count=metrics.spans, clock=clock)
    # Writing and flushing what is fetched must not hold up the threads that search.
    disk = GeventTasks(native_threads=1).compute
    artifacts = make_artifact_store(StorePlace.of(settings), clock=clock, native=disk)
    # Of its own pool: no request may have to wait for the keys of what it reads.
    sealing = sealing_of(
        settings,
        store=durable_of(settings, metrics=metrics)(pool_max=4),
        artifacts=artifacts,
        clock=clock,
        native=disk,
        count=metrics.seal_refused,
    )
    stores = stores_of(
        settings,
        cipher=sealing.cipher,
        artifacts=artifacts,
        native=disk,
        clock=clock,
        tasks=tasks,
        metrics=metrics,
    )
    store, sessions, frames = stores.store, stores.sessions, stores.frames
    presence = stores.presence
    bus = bus_of(settings, store=store, waiting=stores.waiting, clock=clock)
    neighbours = neighbours_of(settings, clock=clock, metrics=metrics)
    own = GeventTasks(native_threads=1)  # half a second of reading must not hold up searches
    reranking = reranking_of(settings, clock=clock, metrics=metrics, tasks=own)
    encoder = encoder_of(settings, metrics=metrics)
    tenants = tenants_of(
        settings,
        store=store,
        artifacts=artifacts,
        encoder_for=encoders_of(encoder),
        look=neighbours.find if neighbours else None,
        reranking=reranking,
        clock=clock,
        tasks=tasks,
        metrics=metrics,
    )
    library = tenants.libraries.default
    acting = acting_of(
        settings,
        store=store,
        artifacts=artifacts,
        bus=bus,
        clock=clock,
        ids=ids,
        tasks=tasks,
        metrics=metrics,
    )
    identity = Identity(
        name=settings.pod_name,
        incarnation=f"{settings.pod_name}.{ids.new_id()[:12]}",
        address=settings.pod_address,
        pid=os.getpid(),
        version=__version__,
        settings=settings_version(settings),
    )
    peers = HttpPeers()
    pod = Pod(
        identity,
        served=library.served,
        tenants=tenants.libraries.served,
        loaded=lambda: library.loaded,
        refused=lambda: library.refused,
        presence=presence,
        peers=peers,
        lacking=lambda: store.lacking() or acting.lacking(),
        plugins=acting.fleet.report,
        vector_store=lambda: neighbours.problem if neighbours else "",
        clock=clock,
        metrics=metrics,
    )
    afterwards = afterwards_of(
        settings,
        cipher=sealing.cipher,
        clock=clock,
        ids=ids,
        tasks=tasks,
        metrics=metrics,
        draining=lambda: pod.draining,
        pods=lambda: owners.pods,
    )
    channels = channels_of(
        settings,
        store=store,
        sessions=sessions,
        later=afterwards.later,
        worker=afterwards.worker,
    )
    effects = effects_of(
        settings,
        acting.plugins,
        cipher=sealing.cipher,
        later=afterwards.later,
        follow_ups=afterwards.follow_ups,
        clock=clock,
        tasks=tasks,
        metrics=metrics,
        opened=afterwards.breaker_opened,
        audit=audited.log,
    )
    effects.look_after(afterwards.worker, sessions)
    guarded = guarded_model_of(settings, clock=clock, ids=ids, metrics=metrics)
    model = guarded.model if guarded else None
    books = books_of(settings, cipher=sealing.cipher, clock=clock, tasks=tasks, metrics=metrics)
    adviser = Adviser(model, clock=clock, tasks=tasks) if model else None
    intents = intents_of(
        settings,
        encoder=encoder,
        adviser=adviser,
        clock=clock,
        ids=ids,
        tasks=tasks,
        metrics=metrics,
    )
    answerer = Answerer(
        tenants.remembered(DEFAULT_TENANT),
        knowledge_of=tenants.remembered,
        language_model=model,
        understanding=Expanding(adviser),
        terms=terms_of(settings),
        clock=clock,
        metrics=metrics,
        steps=effects.steps,
        profile_of=books.profile_of,
        remembering=remembering_of(
            settings,
            cipher=sealing.cipher,
            frames=frames,
            clock=clock,
            tasks=tasks,
            metrics=metrics,
        ),
        reranking=reranking,
        acting=Acting(acting.plugins, intents, clock=clock, tasks=tasks, metrics=metrics),
    )
    limiting = limiting_of(settings, clock=clock, metrics=metrics)
    owners = Owners(mine=identity.incarnation, presence=presence, peers=peers, clock=clock)
    handoffs = RedisHandoffs(store, ttl_s=settings.session_ttl_s)
    persons = Persons(
        clock.now_s,
        by_words=settings.handoff_by_words,
        handoffs=handoffs,
        metrics=metrics.acting,
    )
    engine = TurnEngine(
        owner=identity.incarnation,
        sessions=sessions,
        frames=frames,
        bus=bus,
        knowledge=library,
        knowledge_of=tenants.knowledge,
        answerer=answerer,
        clock=clock,
        ids=ids,
        tasks=tasks,
        metrics=metrics,
        owners=owners,
        draining=lambda: pod.draining,
        settle=effects.settle,
        spent=limiting.spent,
        turn_log=(
            TurnLog(texts=settings.turn_log_texts, cipher=sealing.cipher)
            if settings.turns_are_logged
            else None
        ),
        traces=tracing.traces,
        profile_of=books.profile_of,
        record=books.record,
        tally=limiting.telling(afterwards.telling(books.tally, channels=channels.replies)),
        memory=memory_of(settings, adviser, tasks=tasks, metrics=metrics),
        persons=persons,
        session_events=settings.session_events,
    )
    people = HandoffDesk(
        sessions=sessions,
        handoffs=handoffs,
        turns=engine,
        persons=persons,
        clock=clock,
        ids=ids,
        metrics=metrics,
    )
    pod.count_turns_of(engine)
    afterwards.tell_sessions(sessions, engine)
    recovery = Recovery(
        owner=identity.incarnation,
        sessions=sessions,
        owners=owners,
        engine=engine,
        draining=lambda: pod.draining,
        count_unsent=metrics.events_unsent,
    )
    listeners: dict[str, Listener] = {
        KNOWLEDGE_UPDATED: KnowledgeUpdatedListener(
            look=tenants.libraries.wake, traces=tracing.traces
        ),
        SESSION_UPDATED: SessionUpdatedListener(newer=stores.remembered.mark),
        CONFIG_UPDATED: DataKeysUpdatedListener(sealing.look_again, others=acting.listener),
    }
    services = Services(
        sessions=sessions,
        turns=engine,
        knowledge=library,
        faq=tenants.faq(DEFAULT_TENANT),
        tenants=tenants,
        jobs=RedisJobs(store),
        later=afterwards.desk,
        uploads=upload_desk_of(settings, clock=clock),
        presence=presence,
        pod=pod,
        clock=clock,
        ids=ids,
        auth_mode=settings.auth_mode,
        authority=make_authority(settings, store, clock=clock),
        cluster_id=settings.cluster_id,
        metrics=metrics,
        traces=tracing.traces,
        analytics=books.analytics,
        records=books.records,
        feedback=books.ratings,
        plugins=acting.desk,
        breakers=effects.breakers,
        channels=channels.desk,
        handoffs=people,
        drafts=FaqDraftDesk(
            books.drafts,
            sessions=sessions,
            search=lambda tenant, kb, question: tenants.knowledge(tenant).search(
                kb, question, top_k=TOP_K_DEFAULT
            ),
            closeness=QuestionCloseness(encoder, compute=tasks.compute),
        ),
        openai=openai_of(encoder, model, tasks=tasks),
        source_cache_s=settings.source_cache_s,
        voice=voice_of(settings, clock=clock, ids=ids),
        audit=audited.log,
        audit_desk=audited.reader(artifacts, native=disk),
        use=limiting.desk,
        guard=limiting.guard,
        proxies=limiting.proxies,
        sockets=SocketRules.of(settings.ws_allowed_origins, chars_per_s=settings.ws_chars_per_s),
        direct=DirectAnswers(
            library,
            knowledge_of=tenants.knowledge,
            clock=clock,
            tasks=tasks,
            metrics=metrics,
            owner=identity.incarnation,
            language_model=model,
            terms=terms_of(settings),
            evidence_min=settings.answer_evidence_min,
        ),
    )
    return RunningPod(
        app=create_app(services),
        store=store,
        pod=pod,
        recovery=recovery,
        libraries=tenants.libraries,
        dispatch=Dispatch(bus, listeners, metrics=metrics, clock=clock),
        engine=engine,
        owners=owners,
        tasks=tasks,
        clock=clock,
        tracing=tracing,
        guarded=guarded,
        later=afterwards.worker,
        acting=acting,
        effects=effects,
        people=people,
        limiting=limiting,
        audit=audited.writer,
    )
