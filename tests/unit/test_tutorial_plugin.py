"""The tutorial of plugins: its files do what its commands say; and the template begins one."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kotaemon_node.cli.main import app
from kotaemon_node.plugins.template import write_template
from kotaemon_node.plugins.testing import PluginTest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-plugin.md"
BLOCK = re.compile(r"^```(python|yaml|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TRIED = ("kotaemon plugins new", "kotaemon plugins try")


def sessions(console: str) -> list[tuple[str, str]]:
    """Return (command, what it prints) of a block."""
    parts = re.split(r"(?m)^\$ ", console)[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def test_from_the_first_line_to_the_last_it_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tried = []
    for kind, text in BLOCK.findall(PAGE.read_text("utf-8")):
        if kind != "console":
            name = text.partition("\n")[0].removeprefix("# ")
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            continue
        for command, printed in sessions(text):
            if not command.startswith(TRIED):
                continue
            # In this process: walls have a test of their own, and cost seconds each.
            walls = ["--no-sandboxed"] if " try " in command else []
            done = CliRunner().invoke(app, [*shlex.split(command)[1:], *walls])
            assert done.exit_code == 0, done.output
            if printed:
                assert json.loads(done.stdout) == json.loads(printed), command
            tried.append(command)
    assert len(tried) >= 6
    # And its tests, of which one goes behind the walls, pass.
    monkeypatch.syspath_prepend(str(tmp_path / "plugins" / "tests"))
    import test_call_back  # type: ignore[import-not-found]
    import test_opening_hours  # type: ignore[import-not-found]

    try:
        test_call_back.test_a_call_is_arranged_once()
        test_opening_hours.test_the_hours_of_a_day_are_told()
    finally:
        for name in ("test_call_back", "test_opening_hours"):
            sys.modules.pop(name)


def test_a_template_is_a_plugin_and_overwrites_nothing(tmp_path: Path) -> None:
    written = write_template(tmp_path, "two_words")
    assert [path.name for path in written] == [
        "two_words.py",
        "two_words.yaml",
        "test_two_words.py",
    ]
    assert "class TwoWords(BasePlugin)" in written[0].read_text()
    assert not any(
        "@" in path.read_text().replace("@IntentHook", "").replace("@pytest", "")
        for path in written
    )
    with PluginTest(written[0], config={"greeting": "你好"}, user_id="李") as plugin:
        assert plugin.hook("打个招呼") == {"result": "你好, 李!"}
        assert plugin.description.parameters["required"] == ["name"]
        with pytest.raises(LookupError):
            plugin.hook("hello", intent="other")
    written[1].unlink()
    with pytest.raises(FileExistsError):
        write_template(tmp_path, "two_words")
    assert not written[1].exists()
    for name in ("", "a-b", "1a", "x" * 65, "../up"):
        with pytest.raises(ValueError, match="no name"):
            write_template(tmp_path, name)


def test_commands_say_what_is_wrong(tmp_path: Path) -> None:
    for arguments in (
        ["new", "a/b", "--folder", str(tmp_path)],
        ["try", str(tmp_path / "none.py"), "hi"],
        ["try", str(write_template(tmp_path, "hello")[0]), "hi", "--slots", "["],
    ):
        done = CliRunner().invoke(app, ["plugins", *arguments])
        assert done.exit_code != 0
        assert done.exception is not None
