"""What each route takes and gives: the table from which ``/openapi.json`` is made.

A route without a row stops the pod from starting, so the description cannot fall behind.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from kotaemon_node.api import (
    book_forms,
    channel_forms,
    draft_forms,
    faq_forms,
    forms,
    handoff_forms,
    inputs,
    knowledge_forms,
)
from kotaemon_node.api.audit_forms import AuditPage, AuditQuery
from kotaemon_node.api.convergence import ClusterForm
from kotaemon_node.api.later_forms import DeadLetterList, LaterList
from kotaemon_node.api.login_forms import CallerForm, EndLoginsBody, LoggedOut, WaysIn
from kotaemon_node.api.openai import forms as openai_forms
from kotaemon_node.api.openai.bodies import ChatRequest
from kotaemon_node.api.operation import Operation
from kotaemon_node.api.plugin_forms import PUSH_FORM, PluginBody, PluginForm, PluginList
from kotaemon_node.api.use_forms import LimitsForm
from kotaemon_node.api.voice.forms import TRANSCRIPTION_FORM, SpeechBody, TranscriptForm, VoiceForm
from kotaemon_node.api.websocket.messages import SocketQuery
from kotaemon_node.domain.session import Turn

# too_large: the server itself says so of a first line or header that is too long.
EVERYWHERE: Final = ("malformed", "too_large", "internal")
GUARDED: Final = ("unauthenticated", "forbidden", "rate_limited", "issuer_unavailable")
"""Codes of every route that needs a caller."""
_STORE: Final = ("store_unavailable", "overloaded")
# The last two: an archived session, whose copy cannot be read now or is damaged.
_SESSION: Final = ("session_not_found", *_STORE, "unavailable", "corrupt_artifact")
_ASKING: Final = (*_SESSION, "too_large", "turn_conflict", "session_busy", "gone", "draining")
_BODY: Final = ("too_large", "unsupported_media_type", "invalid")
_FAILED: Final = ("turn_crashed", "language_model_failed", "deadline_exceeded", "behind")
_ORDER: Final = ("conflict", "unavailable", *_STORE)
_EVENTS: Final = "text/event-stream"

OPERATIONS: Final[Mapping[str, Operation]] = {
    "chat.chat": Operation(
        "conversation",
        {200: forms.ChatAnswer, 202: forms.ChatAnswer},
        (*_ASKING, *_BODY, *_FAILED),
        body=inputs.ChatBody,
        headers=("X-Turn-Default",),
    ),
    "chat.ask": Operation(
        "conversation",
        {200: forms.AskAnswer, 202: forms.AskAnswer},
        (*_ASKING, "invalid", *_FAILED),
        query=inputs.AskQuery,
        headers=("X-Turn-Default",),
    ),
    "channels.receive": Operation(
        "conversation",
        {200: channel_forms.ChannelAnswer, 202: channel_forms.ChannelAnswer},
        (*_ASKING, *_BODY, "not_found", "unauthenticated", "behind"),
        body=channel_forms.ChannelMessage,
        headers=("webhook-id", "webhook-timestamp", "webhook-signature"),
    ),
    "openai.complete": Operation(
        "openai",
        {200: openai_forms.Completion},
        (*_ASKING, *_BODY, *_FAILED, "not_found"),
        body=ChatRequest,
        headers=("Idempotency-Key", "X-Session-ID", "X-Stainless-Retry-Count"),
        media=_EVENTS,
        openai=True,
    ),
    "openai.list_models": Operation("openai", {200: openai_forms.ModelList}, openai=True),
    "openai.read_model": Operation(
        "openai", {200: openai_forms.ModelForm}, ("not_found",), openai=True
    ),
    "openai.embed": Operation(
        "openai",
        {200: openai_forms.EmbeddingList},
        ("not_found", "overloaded", "unavailable", *_BODY),
        body=openai_forms.EmbeddingsBody,
        openai=True,
    ),
    "sessions.list_sessions": Operation(
        "sessions", {200: forms.SessionList}, ("invalid", "forbidden", *_STORE),
        query=inputs.SessionsQuery,
    ),
    "sessions.create_session": Operation(
        "sessions",
        {201: forms.SessionCreated, 200: forms.SessionCreated},
        (*_BODY, *_SESSION),
        body=inputs.SessionBody,
        headers=("Idempotency-Key",),
    ),
    "sessions.read_session": Operation(
        "sessions", {200: forms.SessionForm}, (*_SESSION, "gone", "invalid"),
        query=inputs.HistoryQuery,
    ),
    "sessions.stream_session": Operation(
        "sessions",
        {200: None},
        (*_SESSION, "gone", "invalid", "draining"),
        query=inputs.SessionStreamQuery,
        headers=("Last-Event-ID",),
        media=_EVENTS,
        json=False,
    ),
    "sessions.delete_session": Operation("sessions", {204: None}, _SESSION),
    "websocket.chat": Operation(
        "conversation",
        {101: None},
        (*_SESSION, "invalid", "upgrade_required", "draining"),
        query=SocketQuery,
        headers=("X-Turn-Default",),
    ),
    "voice.talk": Operation(
        "voice",
        {101: None},
        (*_SESSION, "invalid", "upgrade_required", "draining", "speech_off"),
        query=SocketQuery,
        headers=("X-Turn-Default",),
    ),
    "voice.read_voice": Operation("voice", {200: VoiceForm}),
    "audio.transcribe": Operation(
        "openai",
        {200: TranscriptForm},
        (*_BODY, "overloaded", "speech_off", "speech_failed"),
        upload=TRANSCRIPTION_FORM,
        media="text/plain",
        openai=True,
    ),
    "audio.speak": Operation(
        "openai",
        {200: None},
        (*_BODY, "overloaded", "speech_off", "speech_failed"),
        body=SpeechBody,
        media="audio/wav",
        json=False,
        openai=True,
    ),
    "turns.create_turn": Operation(
        "turns",
        {200: Turn, 202: Turn},
        (*_ASKING, *_BODY),
        body=inputs.TurnBody,
        query=inputs.StreamQuery,
        headers=("X-Turn-Default", "Last-Event-ID"),
        media=_EVENTS,
    ),
    "turns.read_turn": Operation("turns", {200: Turn}, (*_SESSION, "turn_not_found")),
    "turns.stream_turn": Operation(
        "turns",
        {200: None},
        (*_SESSION, "turn_not_found", "gone", "invalid"),
        query=inputs.StreamQuery,
        headers=("Last-Event-ID",),
        media=_EVENTS,
        json=False,
    ),
    "turns.cancel_turn": Operation(
        "turns", {200: Turn}, (*_SESSION, "turn_not_found", *_BODY), body=inputs.EmptyBody
    ),
    "feedback.rate_turn": Operation(
        "turns",
        {200: book_forms.FeedbackForm},
        (*_SESSION, "turn_not_found", "not_found", "conflict", *_BODY),
        body=inputs.FeedbackBody,
    ),
    "handoffs.hand_off": Operation(
        "sessions",
        {200: handoff_forms.HandoffForm},
        (*_SESSION, "not_found", "gone", *_BODY),
        body=handoff_forms.HandoffBody,
    ),
    "handoffs.hand_back": Operation(
        "sessions",
        {200: handoff_forms.HandoffForm},
        (*_SESSION, "not_found", "gone", *_BODY),
        body=inputs.EmptyBody,
    ),
    "handoffs.say": Operation(
        "sessions",
        {200: Turn, 202: Turn},
        (*_SESSION, "not_found", "gone", "conflict", "turn_conflict", "draining", *_BODY),
        body=handoff_forms.AgentMessageBody,
        headers=("X-Turn-Default",),
    ),
    "handoffs.list_handoffs": Operation(
        "sessions",
        {200: handoff_forms.HandoffList},
        ("not_found", "invalid", *_STORE),
        query=handoff_forms.HandoffsQuery,
    ),
    "traces.read_trace": Operation(
        "turns", {200: book_forms.TraceForm}, ("not_found", *_STORE), query=inputs.TraceQuery
    ),
    "analytics.read_analytics": Operation(
        "cluster",
        {200: book_forms.AnalyticsForm},
        ("not_found", "too_large", "invalid", *_STORE),
        query=inputs.AnalyticsQuery,
    ),
    "knowledge.search": Operation(
        "knowledge",
        {200: knowledge_forms.SearchAnswer},
        ("not_found", "too_large", "invalid", "behind", "unavailable"),
        query=inputs.SearchQuery,
    ),
    "sources.read_source": Operation(
        "knowledge",
        {200: knowledge_forms.SourceForm, 304: None},
        ("not_found", "withdrawn", "invalid", "corrupt_artifact", "unavailable"),
        query=inputs.SourceQuery,
        headers=("If-None-Match",),
        media="text/html",
    ),
    "knowledge.read_knowledge": Operation(
        "knowledge", {200: knowledge_forms.KnowledgeForm}, ("not_found", "unavailable")
    ),
    "knowledge.list_generations": Operation(
        "knowledge", {200: knowledge_forms.GenerationList}, ("not_found", "unavailable")
    ),
    "knowledge.list_documents": Operation(
        "knowledge", {200: knowledge_forms.DocumentList}, ("not_found", "too_large", "invalid"),
        query=inputs.DocumentsQuery,
    ),
    "uploads.upload_documents": Operation(
        "knowledge",
        {202: knowledge_forms.UploadForm},
        (*_BODY, "conflict", "unavailable", "deadline_exceeded", *_STORE),
        query=inputs.UploadQuery,
        upload=True,
    ),
    "knowledge.read_document": Operation(
        "knowledge", {200: knowledge_forms.DocumentForm},
        ("not_found", "too_large", "withdrawn", "unavailable"),
        query=inputs.DocumentQuery,
    ),
    "knowledge.delete_document": Operation(
        "knowledge", {202: knowledge_forms.JobForm}, ("not_found", "too_large", "invalid", *_ORDER),
        query=inputs.DeleteQuery,
    ),
    "knowledge.roll_back": Operation(
        "knowledge", {202: knowledge_forms.JobForm}, ("not_found", *_BODY, *_ORDER),
        body=inputs.RollbackBody,
    ),
    "knowledge.publish": Operation(
        "knowledge", {202: knowledge_forms.JobForm}, ("not_found", *_BODY, *_ORDER),
        body=inputs.PublishBody,
    ),
    "faq.list_entries": Operation(
        "faq", {200: faq_forms.FaqList},
        ("not_found", "too_large", "invalid", "behind", "unavailable"),
        query=faq_forms.FaqQuery,
    ),
    "faq.read_entry": Operation(
        "faq", {200: faq_forms.FaqForm}, ("not_found", "invalid", "behind", "unavailable"),
        query=faq_forms.FaqEntryQuery,
    ),
    "faq.put_entry": Operation(
        "faq", {202: faq_forms.FaqOrdered}, ("not_found", *_BODY, *_ORDER),
        body=faq_forms.FaqBody, query=faq_forms.FaqChangeQuery,
    ),
    "faq.delete_entry": Operation(
        "faq", {202: knowledge_forms.JobForm}, ("not_found", "too_large", "invalid", *_ORDER),
        query=faq_forms.FaqChangeQuery,
    ),
    "faq_drafts.list_drafts": Operation(
        "faq",
        {200: draft_forms.DraftList},
        ("not_found", "invalid", *_STORE),
        query=draft_forms.DraftsQuery,
    ),
    "faq_drafts.accept_draft": Operation(
        "faq",
        {202: faq_forms.FaqOrdered},
        ("not_found", *_BODY, *_ORDER),
        body=draft_forms.AcceptBody,
        query=faq_forms.FaqChangeQuery,
    ),
    "faq_drafts.dismiss_draft": Operation(
        "faq", {204: None}, ("not_found", "invalid", *_STORE), query=draft_forms.DraftQuery
    ),
    "jobs.list_jobs": Operation(
        "jobs", {200: knowledge_forms.JobList | LaterList}, ("invalid", *_STORE),
        query=inputs.JobsQuery,
    ),
    "jobs.read_job": Operation("jobs", {200: knowledge_forms.JobForm}, ("not_found", *_STORE)),
    "dead_letters.list_dead_letters": Operation(
        "jobs", {200: DeadLetterList}, ("invalid", *_STORE), query=inputs.DeadLettersQuery
    ),
    "dead_letters.retry_dead_letter": Operation(
        "jobs", {204: None}, ("not_found", *_STORE, *_BODY), body=inputs.EmptyBody
    ),
    "dead_letters.drop_dead_letter": Operation("jobs", {204: None}, ("not_found", *_STORE)),
    "audit.read_audit": Operation(
        "cluster",
        {200: AuditPage},
        ("not_found", "invalid", "unavailable", *_STORE),
        query=AuditQuery,
    ),
    "cluster.read_cluster": Operation("cluster", {200: ClusterForm}, _STORE),
    "plugins.list_plugins": Operation("plugins", {200: PluginList}, ("not_found", *_STORE)),
    "plugins.push_plugin": Operation(
        "plugins",
        {201: PluginForm},
        ("not_found", "unavailable", *_BODY, *_STORE),
        upload=PUSH_FORM,
    ),
    "plugins.change_plugin": Operation(
        "plugins", {200: PluginForm}, ("not_found", *_BODY, *_STORE), body=PluginBody
    ),
    "plugins.reload_plugin": Operation(
        "plugins", {200: PluginForm}, ("not_found", *_BODY, *_STORE), body=inputs.EmptyBody
    ),
    "plugins.delete_plugin": Operation("plugins", {204: None}, ("not_found", "invalid", *_STORE)),
    "health.healthz": Operation("cluster", {200: forms.Alive}),
    "health.readyz": Operation("cluster", {200: forms.Readiness, 503: forms.Unready}),
    "health.balancer": Operation("cluster", {200: forms.Alive}, ("not_found", "unavailable")),
    "health.metrics": Operation("cluster", {200: None}, media="text/plain", json=False),
    "openapi.document": Operation("cluster", {200: dict[str, Any]}),
    "login.log_in": Operation(
        "access", {200: CallerForm},
        ("unauthenticated", "forbidden", "not_found", *_BODY, "store_unavailable"),
        body=inputs.LoginBody,
    ),
    "login.ways_in": Operation("access", {200: WaysIn}),
    "login.leave": Operation(
        "access", {303: None},
        ("not_found", "invalid", "store_unavailable", "issuer_unavailable"),
        query=inputs.LeavingQuery,
    ),
    "login.come_back": Operation(
        "access", {303: None}, ("not_found", "invalid"), query=inputs.ReturningQuery
    ),
    "login.log_out": Operation(
        "access", {200: LoggedOut, 204: None}, ("forbidden", *_BODY, "store_unavailable"),
        body=inputs.EmptyBody,
    ),
    "login.end_logins": Operation(
        "access", {204: None}, ("not_found", *_BODY, *_STORE), body=EndLoginsBody
    ),
    "login.me": Operation("access", {200: CallerForm}),
    "limits.read_limits": Operation("access", {200: LimitsForm}, _STORE),
    "page.index": Operation("page", {200: None, 304: None}, media="text/html", json=False),
    "page.admin": Operation("page", {200: None, 304: None}, media="text/html", json=False),
    "page.asset": Operation(
        "page", {200: None, 304: None}, ("not_found",), media="*/*", json=False
    ),
}  # fmt: skip


def undescribed(endpoints: Iterable[str]) -> list[str]:
    """Return the endpoints that have no row."""
    return sorted(set(endpoints) - OPERATIONS.keys())
