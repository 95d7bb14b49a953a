"""Documents are read in children: whatever one does there, it is one document's reason."""

import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from coordinator.folder import FileChanged, FileState
from coordinator.ingest import Ingested, ingest
from coordinator.metrics import CoordinatorMetrics
from coordinator.reading.bounds import Bounds
from coordinator.reading.pool import ChildReader
from coordinator.reading.process import Child
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain import limits
from tests.own_children import begin_with_none, own_children

PATIENCE_S = 60.0
MB = 1024**2
# A child whose parser does what the name of the document says.
PROGRAM = """
import os, pathlib, time
from coordinator.ingest import read_document
from coordinator.reading import child

def read(document, content):
    kind = document.partition(".")[0]
    if kind == "loops":
        while True: pass
    if kind == "sleeps":
        time.sleep(600)
    if kind == "eats":
        eaten = []
        while True: eaten.append(bytearray(1 << 20))
    if kind == "recurses":
        def deeper(): deeper()
        deeper()
    if kind == "dies":
        os.abort()
    if kind == "killed":
        os.kill(os.getpid(), 9)
    if kind == "leaves":
        os._exit(0)
    if kind == "prints":
        print("kmr1 this is no answer", flush=True)
        os.write(1, b"nor is this")
    if kind == "lies":
        os.write(ANSWERS, b"kmr1 and then something else")
        time.sleep(600)
    if kind == "floods":
        os.write(ANSWERS, b"kmr1" + (4_000_000_000).to_bytes(4, "big") + bytes(8))
        time.sleep(600)
    if kind == "writes":
        pathlib.Path("/dev/shm/kn-written").write_bytes(b"x" * 10)
    if kind == "opens":
        [os.open("/dev/null", os.O_RDONLY) for _ in range(1000)]
    if kind == "nice":
        content = str(os.getpriority(os.PRIO_PROCESS, 0)).encode()
    if kind == "tells":
        content = repr(sorted(os.environ)).encode()
    return read_document("a.md", content)

ANSWERS = 3
real_dup = os.dup
child.os.dup = lambda number: os.dup2(number, ANSWERS)
child.main(read)
"""
TEST_PROGRAM = (sys.executable, "-s", "-P", "-B", "-c", PROGRAM)
SMALL = Bounds(memory_bytes=512 * MB, computing_s=1, wall_s=PATIENCE_S)


class Files:
    """Documents in memory, which the pool loads."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def __call__(self, state: FileState) -> bytes:
        if state.document not in self.content:
            raise FileChanged(state.document)
        return self.content[state.document]

    def state(self, document: str, content: bytes = b"# Lamps\n\nA lamp.") -> FileState:
        self.content[document] = content
        return FileState(document, hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture
def files() -> Files:
    return Files()


Make = Callable[..., ChildReader]


@pytest.fixture
def make(files: Files) -> Iterator[Make]:
    begin_with_none()
    made: list[ChildReader] = []

    def reader(*, bounds: Bounds = SMALL, program: tuple[str, ...] = TEST_PROGRAM) -> ChildReader:
        made.append(
            ChildReader(
                files,
                metrics=CoordinatorMetrics(),
                clock=SystemClock(),
                bounds=bounds,
                program=program,
                children=1,
            )
        )
        return made[-1]

    yield reader
    for one in made:
        one.close()


def read(reader: ChildReader, state: FileState) -> Ingested:
    found = reader.begin("default", state).result(timeout=PATIENCE_S)
    assert found is not None
    return found


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_document_comes_back_as_it_would_have_been_read_here(files: Files) -> None:
    content = (
        "# Returns\n\nWithin 14 days. Not later.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "## Lamps\n\n台灯保修两年。\n"
    ).encode()
    reader = ChildReader(files, metrics=CoordinatorMetrics(), clock=SystemClock())
    try:
        found = read(reader, files.state("a.md", content))
        assert found == ingest("a.md", content)
        assert len(found.passages) == 3
        refused = files.state("b.exe", b"x")
        assert read(reader, refused) == ingest("b.exe", b"x")
        gone = FileState("gone.md", "0" * 64, 1)
        assert reader.begin("default", gone).result(timeout=PATIENCE_S) is None
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("document", "bounds", "reason"),
    [
        ("loops.md", SMALL, "reading it took longer than 1 s of computing"),
        ("sleeps.md", Bounds(wall_s=1), "reading it took longer than 1 s"),
        ("eats.md", SMALL, "reading it needs more memory than 0.5 GB"),
        ("dies.md", SMALL, "its parser crashed"),
        ("killed.md", SMALL, "its parser was killed twice from outside"),
        ("leaves.md", SMALL, "its parser crashed"),
        ("lies.md", SMALL, "its parser gave an answer that cannot be used"),
        ("floods.md", SMALL, "its parser gave an answer that cannot be used"),
        ("recurses.md", SMALL, "it could not be read because of an internal error"),
        ("writes.md", SMALL, "it could not be read because of an internal error"),
        ("opens.md", SMALL, "it could not be read because of an internal error"),
    ],
)
def test_what_a_parser_does_is_its_documents_reason_and_the_next_is_read(
    files: Files, make: Make, document: str, bounds: Bounds, reason: str
) -> None:
    reader = make(bounds=bounds)
    began = psutil.Process().memory_info().rss
    found = read(reader, files.state(document))
    assert found.reason is not None
    assert found.reason.startswith(reason)
    assert not found.passages
    assert read(reader, files.state("good.md")).text == "Lamps\n\nA lamp."
    assert psutil.Process().memory_info().rss - began < 64 * MB


def test_memory_of_the_coordinator_is_not_its_childs(files: Files, make: Make) -> None:
    ours = bytearray(b"x") * (480 * MB)
    del ours
    found = read(make(), files.state("dies.md"))
    assert found.reason == "its parser crashed"


def test_what_a_library_prints_is_no_answer(files: Files, make: Make) -> None:
    assert read(make(), files.state("prints.md")).text == "Lamps\n\nA lamp."


def test_a_child_sees_no_secret(files: Files, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTIFACT_TOKEN", "secret")
    seen = read(make(), files.state("tells.md")).text
    assert "LANG" in seen
    assert not {"ARTIFACT_TOKEN", "HOME", "PATH"} & {name.strip("[]' ") for name in seen.split(",")}


def test_a_document_is_not_blamed_for_what_an_earlier_one_left(files: Files, make: Make) -> None:
    reader = make()
    read(reader, files.state("good.md"))
    (child,) = own_children()
    child.suspend()
    begun = reader.begin("default", files.state("second.md"))
    child.kill()
    found = begun.result(timeout=PATIENCE_S)
    assert found is not None
    assert found.reason is None


def test_a_large_document_goes_in_and_out(files: Files, make: Make) -> None:
    content = b"A sentence about lamps. " * 40_000
    found = read(make(bounds=Bounds()), files.state("large.md", content))
    assert len(found.text) == len(content) - 1
    assert len(found.passages) > 500


def test_closing_ends_a_reading_and_its_child_at_once(files: Files, make: Make) -> None:
    reader = make()
    reader.begin("default", files.state("sleeps.md"))
    until(own_children)
    (child,) = own_children()
    reader.close()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_reading_that_nobody_wants_makes_room(files: Files, make: Make) -> None:
    reader = make()
    unwanted = reader.begin("default", files.state("sleeps.md"))
    until(own_children)
    reader.drop(unwanted)
    assert read(reader, files.state("good.md")).reason is None


def test_a_worn_child_is_replaced(
    files: Files, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "READING_CHILD_DOCUMENTS_MAX", 2)
    reader = make()
    pids = []
    for _ in range(3):
        read(reader, files.state("good.md"))
        pids += [child.pid for child in own_children()]
    assert len(set(pids)) == 2


def test_a_child_steps_back_no_further_than_the_thread_that_started_it(
    files: Files, make: Make
) -> None:
    def step_back_and_begin() -> Ingested:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        return read(make(), files.state("nice.md"))

    with ThreadPoolExecutor(1) as behind:
        assert behind.submit(step_back_and_begin).result().text == "10"


def test_a_child_takes_lower_limits_than_its_own_as_they_are(files: Files) -> None:
    lower = "import resource as r; r.setrlimit(r.RLIMIT_CPU, (200, 200));"
    lower += "r.setrlimit(r.RLIMIT_NOFILE, (40, 40));"
    program = (*TEST_PROGRAM[:-1], lower + PROGRAM)
    reader = ChildReader(
        files,
        metrics=CoordinatorMetrics(),
        clock=SystemClock(),
        bounds=Bounds(computing_s=1_000),
        program=program,
        children=1,
    )
    try:
        assert read(reader, files.state("good.md")).reason is None
    finally:
        reader.close()


def test_children_that_come_and_go_leave_nothing_open(
    files: Files, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "READING_CHILD_DOCUMENTS_MAX", 1)
    reader = make()
    read(reader, files.state("good.md"))
    until(lambda: not own_children())
    began = psutil.Process().num_fds()
    for kind in ("good", "dies", "leaves", "good"):
        read(reader, files.state(f"{kind}.md"))
    until(lambda: not own_children())  # nor is one left that nobody has waited for
    assert psutil.Process().num_fds() <= began


PARENT = """
import sys, time
from coordinator.reading.bounds import Bounds
from coordinator.reading.process import Child
from kotaemon_node.adapters.system import SystemClock
child = Child(Bounds(), clock=SystemClock())
child.await_ready(lambda: None)
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_child_dies_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    os.kill(child.pid, signal.SIGSTOP)  # it cannot notice that its pipe has ended
    parent.kill()
    parent.wait()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_child_may_be_ended_by_two_threads_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Who closes the pool ends a child that its own thread ends at the same moment.
    child = Child(SMALL, clock=SystemClock(), program=TEST_PROGRAM)
    wait4, statuses = os.wait4, list[int]()
    second = threading.Thread(target=lambda: statuses.append(child.end()[0]))

    def waits(pid: int, options: int) -> tuple[int, int, resource.struct_rusage]:
        monkeypatch.setattr(os, "wait4", wait4)
        second.start()
        second.join(0.5)  # it waits for us, or has taken the status away
        return wait4(pid, options)

    monkeypatch.setattr(os, "wait4", waits)
    statuses.append(child.end()[0])
    second.join()

    assert statuses == [-signal.SIGKILL, -signal.SIGKILL]
