"""``scripts/install.sh`` on machines that lack this or that; its tools are scripts that take notes.

What the real tools do is proved by every `make test` on a fresh machine; here it is what is asked
of them, and when.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What the script itself is made of; everything else must be found missing.
PLAIN_TOOLS = (
    *("sh", "cat", "cut", "date", "dirname", "mktemp", "rm", "sed", "sha256sum", "tail", "touch"),
    "chmod",
)
SERVERS = (
    *("redis-server", "haproxy", "mvn", "java", "chromium-headless-shell", "helm", "promtool"),
    *("node", "npm"),
)


class Machine:
    """A checkout in a machine with few programs, and a note of every call to the others."""

    def __init__(self, path: Path) -> None:
        self.checkout = path / "checkout"
        self.bin = path / "bin"
        self.notes = path / "notes"
        self.bin.mkdir(parents=True)
        self.notes.touch()
        shutil.copytree(ROOT / "scripts", self.checkout / "scripts")
        shutil.copytree(ROOT / "requirements", self.checkout / "requirements")
        shutil.copy(ROOT / "pyproject.toml", self.checkout)
        (self.checkout / "tests" / "js").mkdir(parents=True)
        shutil.copy(ROOT / "tests" / "js" / "package-lock.json", self.checkout / "tests" / "js")
        for tool in PLAIN_TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.bin / tool).symlink_to(found)
        self.put("python3", "exit 0")
        self.put_user(1000)

    def put(self, name: str, body: str = "", *, folder: Path | None = None) -> None:
        """Install a program that notes its call and then does ``body``."""
        place = folder or self.bin
        place.mkdir(parents=True, exist_ok=True)
        program = place / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.notes}\n{body}\n')
        program.chmod(0o755)

    def put_user(self, number: int) -> None:
        """Make everything run as this user."""
        self.put("id", f"echo {number}")

    def put_environment(self) -> None:
        """Make a Python environment that has its tools."""
        place = self.checkout / ".venv" / "bin"
        self.put("python", 'case "$*" in --version) echo Python 3.11.2;; esac', folder=place)
        self.put("uv", folder=place)
        self.put("kotaemon", folder=place)

    def put_servers(self, *names: str) -> None:
        """Install servers."""
        for name in names:
            self.put(name)

    def install(self, wanted: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        # Without sbin, where the machine of the tests has its own haproxy.
        script = (self.checkout / "scripts" / "install.sh").read_text()
        (self.checkout / "scripts" / "install.sh").write_text(
            script.replace("PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin", "PATH=$PATH").replace(
                "/usr/share/fonts", str(self.checkout / "fonts")
            )
        )
        return subprocess.run(
            [str(self.bin / "sh"), "scripts/install.sh", wanted],
            cwd=self.checkout,
            env={"PATH": str(self.bin), "HOME": os.environ.get("HOME", "/"), **settings},
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self, name: str) -> list[str]:
        """Return the arguments of each call to a program, oldest first."""
        lines = self.notes.read_text().splitlines()
        return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_root_each_missing_program_gets_one_sentence_of_advice(machine: Machine) -> None:
    machine.put_environment()

    done = machine.install("run")

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "kotaemon: redis-server is missing (keeps the sessions); install it with"
        " `sudo apt-get install redis-server`, or the like on other systems.",
        "kotaemon: haproxy is missing (balances the load between the pods); install it with"
        " `sudo apt-get install haproxy`, or the like on other systems.",
    ]


def test_running_needs_no_browser_and_testing_does(machine: Machine) -> None:
    machine.put_environment()
    machine.put_servers("redis-server", "haproxy")

    running, testing = machine.install("run"), machine.install("test")

    assert running.returncode == 0, running.stderr
    assert testing.returncode == 1
    wanted = ("maven", "default-jre-headless", "chromium-headless-shell", "nodejs", "npm")
    for package in (*wanted, "fonts-noto-cjk", "prometheus"):
        assert f"`sudo apt-get install {package}`" in testing.stderr


def test_either_chromium_will_do(machine: Machine) -> None:
    machine.put_environment()
    machine.put_servers("chromium")

    with_windows = machine.install("test").stderr
    machine.put_servers("chromium-headless-shell")
    (machine.bin / "chromium").unlink()
    without = machine.install("test").stderr

    assert "prometheus is missing" in with_windows
    assert "chromium" not in with_windows + without


def test_what_only_long_tests_need_is_missed_by_them_alone(machine: Machine) -> None:
    machine.put_environment()

    tests, long_tests = machine.install("test").stderr, machine.install("test", LONG="1").stderr

    assert "keepalived is missing" not in tests
    assert "keepalived is missing" in long_tests
    assert "iproute2 is missing" in long_tests


def test_a_python_without_venv_is_told_before_anything_is_made(machine: Machine) -> None:
    machine.put_servers("redis-server", "haproxy")
    machine.put("python3", 'case "$*" in *ensurepip*) exit 1;; esac')

    done = machine.install("run")

    assert done.returncode == 1
    assert "python3-venv is missing" in done.stderr
    assert not (machine.checkout / ".venv").exists()


def test_an_old_python_is_refused(machine: Machine) -> None:
    machine.put(
        "python3", 'case "$*" in --version) echo Python 3.9.2;; *version_info*) exit 1;; esac'
    )

    done = machine.install("run")

    assert done.returncode == 1
    assert "Python 3.9.2 is too old; Python 3.11 or newer is needed" in done.stderr


def _apt(machine: Machine, *, body: str = "") -> None:
    """Let apt-get install servers as programs that do nothing."""
    install = "\n".join(
        f'case "$*" in *{name}*) touch {machine.bin}/{name}; chmod +x {machine.bin}/{name};; esac'
        for name in ("redis-server", "haproxy")
    )
    machine.put("apt-get", f"{body}\n{install}")


def test_root_installs_what_is_missing_without_fetching_lists_first(machine: Machine) -> None:
    machine.put_user(0)
    machine.put_environment()
    _apt(machine)

    done = machine.install("run")

    assert done.returncode == 0, done.stderr
    assert machine.calls("apt-get") == [
        "install -y -qq --no-install-recommends redis-server haproxy"
    ]


def test_lists_are_fetched_when_packages_are_not_found(machine: Machine) -> None:
    machine.put_user(0)
    machine.put_environment()
    fetched = machine.notes.with_name("lists")
    _apt(
        machine,
        body=f'case "$1" in update) touch {fetched}; exit 0;; esac\n[ -e {fetched} ] || exit 100',
    )

    done = machine.install("run")

    assert done.returncode == 0, done.stderr
    assert [call.split()[0] for call in machine.calls("apt-get")] == [
        "install",
        "update",
        "install",
    ]


def _packages(machine: Machine) -> list[str]:
    return [call for call in machine.calls("uv") if "requirements/" in call]


def test_a_second_time_nothing_is_installed(machine: Machine) -> None:
    machine.put_environment()
    machine.put_servers("redis-server", "haproxy")

    statuses = [machine.install("run").returncode for _ in range(2)]

    assert statuses == [0, 0]
    assert len(_packages(machine)) == 1
    assert "--require-hashes -r requirements/run.lock" in _packages(machine)[0]


@pytest.mark.parametrize("changed", ["requirements/run.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_is_installed_again(machine: Machine, changed: str) -> None:
    machine.put_environment()
    machine.put_servers("redis-server", "haproxy")
    machine.install("run")

    with (machine.checkout / changed).open("a") as file:
        file.write("# changed\n")
    machine.install("run")

    assert len(_packages(machine)) == 2


def test_an_environment_for_tests_is_never_cut_down_to_the_one_for_running(
    machine: Machine,
) -> None:
    machine.put_environment()
    machine.put_servers(*SERVERS)
    font = machine.checkout / "fonts" / "opentype" / "noto" / "NotoSansCJK-Regular.ttc"
    font.parent.mkdir(parents=True)
    font.touch()
    assert machine.install("test").returncode == 0
    assert "-m kotaemon_node.local.broker_jars" in machine.calls("python")

    with (machine.checkout / "requirements" / "test.lock").open("a") as file:
        file.write("# changed\n")
    assert machine.install("run").returncode == 0

    assert len([call for call in machine.calls("python") if "broker_jars" in call]) == 1
    assert all("requirements/test.lock" in call for call in _packages(machine))
    assert len(_packages(machine)) == 2


def test_packages_that_cannot_be_installed_are_tried_again_next_time(machine: Machine) -> None:
    machine.put_environment()
    machine.put_servers("redis-server", "haproxy")
    machine.put("uv", "exit 1", folder=machine.checkout / ".venv" / "bin")

    failed = machine.install("run")
    machine.put_environment()
    repaired = machine.install("run")

    assert failed.returncode == 1
    assert "could not be installed" in failed.stderr
    assert repaired.returncode == 0


def test_weights_that_the_hub_denies_come_by_maven_where_it_can_be_installed(
    machine: Machine,
) -> None:
    machine.put_user(0)
    machine.put_environment()
    machine.put_servers("redis-server", "haproxy")
    maven = machine.bin / "mvn"
    machine.put("kotaemon", f"[ -e {maven} ]", folder=machine.checkout / ".venv" / "bin")
    machine.put("apt-get", f"touch {maven}; chmod +x {maven}")

    done = machine.install("run")

    assert done.returncode == 0, done.stderr
    assert machine.calls("apt-get") == ["install -y -qq --no-install-recommends maven"]
    assert machine.calls("kotaemon") == ["models fetch", "models fetch"]


def test_the_targets_are_printed_by_make_alone() -> None:
    done = subprocess.run(
        ["make", "-C", str(ROOT), "-s"], capture_output=True, text=True, check=True
    )

    for target in (
        "install", "run", "test", "test-long", "bench", "scenarios", "soak", "lock", "help",
    ):  # fmt: skip
        assert f"make {target} " in done.stdout
