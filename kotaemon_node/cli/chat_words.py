"""What the terminal's chat says by itself, in English and Chinese."""

import os
from collections.abc import Mapping
from typing import Final, Literal

ChatLanguage = Literal["en", "zh"]

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "begin": "Session {session}. /help shows what else there is; Ctrl-D ends.",
        "help": (
            "/new            begin another session\n"
            "/good, /bad [why]   rate the last answer\n"
            "/person [why]   ask for a person; /bot gives the session back\n"
            "/quit           end (so do Ctrl-D and an empty line)\n"
            "Ctrl-C stops an answer that is being written."
        ),
        "unknown": "There is no command {command}; /help shows those there are.",
        "rated": "Noted. Thank you.",
        "nothing": "There is no answer to rate yet.",
        "person": "A person has the session now; the bot says nothing until /bot.",
        "bot": "The bot answers again.",
        "restart": "(the answer begins again)",
        "stopped": "(stopped)",
        "sources": "Sources",
        "degraded": "Less than it could be: {reason}",
        "waiting": "Asking",
        "queued": "Waiting for the turn before",
        "understanding": "Understanding the question",
        "retrieval": "Searching the documents",
        "rerank": "Ordering what was found",
        "tools": "Calling tools",
        "generation": "Writing",
        "taken_over": "Another pod goes on",
    },
    "zh": {
        "begin": "会话 {session}。输入 /help 查看其他命令；Ctrl-D 结束。",
        "help": (
            "/new            开始新会话\n"
            "/good、/bad [原因]   评价上一个回答\n"
            "/person [原因]  转人工；/bot 交还给机器人\n"
            "/quit           结束（Ctrl-D 或空行也可以）\n"
            "回答过程中按 Ctrl-C 可以停止。"
        ),
        "unknown": "没有 {command} 这个命令；/help 可查看全部命令。",
        "rated": "已记录，谢谢。",
        "nothing": "还没有可以评价的回答。",
        "person": "会话已转人工；输入 /bot 之前机器人不再回答。",
        "bot": "机器人重新回答。",
        "restart": "（回答重新开始）",
        "stopped": "（已停止）",
        "sources": "来源",
        "degraded": "回答不完整：{reason}",
        "waiting": "正在提问",
        "queued": "等待前一个问题",
        "understanding": "正在理解问题",
        "retrieval": "正在检索文档",
        "rerank": "正在排序结果",
        "tools": "正在调用工具",
        "generation": "正在书写",
        "taken_over": "由另一个节点继续",
    },
}


def words_for(language: ChatLanguage | None) -> Mapping[str, str]:
    """Return the words of a language; None: that of the terminal."""
    spoken = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG", "")
    return WORDS[language or ("zh" if spoken.lower().startswith("zh") else "en")]
