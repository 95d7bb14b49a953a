"""What the answers are worth: answered or not, by the arm of an experiment, and what people say."""

from scripts.dashboards.model import Panel, Query, Row

_DONE = 'kotaemon_profile_turns_total{NS,outcome=~"answered|unanswered"}'
_UNANSWERED = 'kotaemon_profile_turns_total{NS,outcome="unanswered"}'

ANSWERS = Row(
    "What the answers are worth",
    (
        Panel(
            "Turns by arm",
            "How turns ended, by the arm of the live experiment that answered them; default: none"
            " runs.",
            (
                Query(
                    "sum by (profile, outcome) (rate(kotaemon_profile_turns_total{NS}[R]))",
                    "{{profile}} {{outcome}}",
                ),
            ),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Not answered",
            "Share of the finished answers that say that they do not know, or rest on no source."
            " GET /v1/analytics tells which questions, and how sure a difference is.",
            (
                Query(
                    f"sum by (profile) (rate({_UNANSWERED}[R]))"
                    f" / (sum by (profile) (rate({_DONE}[R])) > 0)",
                    "{{profile}}",
                ),
            ),
            unit="percentunit",
        ),
        Panel(
            "TOP 10 questions",
            "Asked most often in seven days, and how often. Empty unless QUESTIONS_IN_METRICS is"
            " set: whoever sees this panel reads what people ask. /admin shows them, too.",
            (Query("sort_desc(max by (tenant, question) (kotaemon_top_question_turns{NS}))"),),
            kind="table",
            width=12,
        ),
        Panel(
            "Ratings",
            "What people said of answers, in an hour.",
            (Query("sum by (rating) (increase(kotaemon_feedback_total{NS}[1h]))", "{{rating}}"),),
        ),
        Panel(
            "Intents",
            "Messages that wanted something of a plugin, by who recognised it.",
            (Query("sum by (by) (rate(kotaemon_intents_total{NS}[R]))", "{{by}}"),),
            unit="ops",
            stacked=True,
            width=12,
        ),
        Panel(
            "Proposals",
            "Actions for which users were asked a yes, and what became of them. Many that are"
            " dropped: the question is not understood, or its intent was not meant.",
            (Query("sum by (outcome) (rate(kotaemon_proposals_total{NS}[R]))", "{{outcome}}"),),
            unit="ops",
            stacked=True,
            width=12,
        ),
        Panel(
            "Audit records",
            "Stored before the turn ended, or late, beside it; failed ones are missing.",
            (Query("sum by (outcome) (rate(kotaemon_audit_records_total{NS}[R]))", "{{outcome}}"),),
            unit="ops",
            stacked=True,
            width=12,
        ),
        Panel(
            "Counting",
            "Turns and ratings told to analytics. Those that failed are told again.",
            (Query("sum by (outcome) (rate(kotaemon_analytics_total{NS}[R]))", "{{outcome}}"),),
            unit="ops",
            stacked=True,
            width=12,
        ),
    ),
)
