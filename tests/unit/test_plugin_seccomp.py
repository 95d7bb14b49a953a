"""The filter of system calls, run as the kernel runs it: on both machines, call by call."""

import errno
import struct
from collections.abc import Sequence

import pytest

from kotaemon_node.plugins.child.seccomp import Instruction, program_for
from kotaemon_node.plugins.child.syscalls import ALLOWED, BY_ARGUMENTS

PID = 4711
X86_64, AARCH64 = (0, 0xC000003E), (1, 0xC00000B7)
MACHINES = [X86_64, AARCH64]
ALLOW, KILL = "allow", "kill"


def decided(program: Sequence[Instruction], number: int, architecture: int, *arguments: int) -> str:
    """Return what the kernel does with a call: ALLOW, KILL, or the name of an error."""
    padded = [it % 2**64 for it in (*arguments, *[0] * 6)][:6]
    told = struct.pack("<IIQ6Q", number, architecture, 0, *padded)
    at, accumulator = 0, 0
    while True:
        code, yes, no, operand = program[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", told, operand)
            case 0x15:
                at += yes if accumulator == operand else no
            case 0x35:
                at += yes if accumulator >= operand else no
            case 0x45:
                at += yes if accumulator & operand else no
            case 0x54:
                accumulator &= operand
            case 0x06:
                return named(operand)
            case _:
                raise AssertionError(f"the kernel would refuse instruction {code:#x}")


def named(decision: int) -> str:
    """Return the name of what a filter returned."""
    if decision in {0x7FFF0000, 0x80000000}:
        return ALLOW if decision == 0x7FFF0000 else KILL
    return errno.errorcode[decision & 0xFFFF]


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_listed_is_allowed_and_nothing_else(machine: tuple[int, int]) -> None:
    program = program_for(*machine, pid=PID)
    listed = {numbers[machine[0]] for numbers in ALLOWED.values()}
    judged = {numbers[machine[0]] for numbers in BY_ARGUMENTS.values()}

    for number in set(range(600)) - judged:
        expected = "ENOSYS" if number >= 424 else "EPERM"
        wanted = ALLOW if number in listed else expected
        assert decided(program, number, machine[1]) == wanted, number


@pytest.mark.parametrize("machine", MACHINES)
def test_no_jump_leaves_the_program_and_it_is_short_enough(machine: tuple[int, int]) -> None:
    program = program_for(*machine, pid=PID)

    assert len(program) <= 4096
    for at, (code, yes, no, _) in enumerate(program):
        assert max(yes, no) < 256
        assert code == 0x06 or at + 1 + max(yes, no) < len(program)
    assert program[-1][0] == 0x06


def test_calls_of_another_machine_end_the_process() -> None:
    program = program_for(*X86_64, pid=PID)

    assert decided(program, 0, 0x40000003) == KILL  # 32 bits
    assert decided(program, 0, AARCH64[1]) == KILL
    assert decided(program, 0x40000000, X86_64[1]) == "ENOSYS"  # x32


@pytest.mark.parametrize(
    ("name", "arguments", "decision"),
    [
        ("clone", (0x3D0F00,), ALLOW),
        ("clone", (0x11,), "EPERM"),
        ("clone", (0x3D0F00 | 0x10000000,), "EPERM"),
        ("kill", (PID, 9), ALLOW),
        ("kill", (1, 9), "EPERM"),
        ("kill", (0, 9), "EPERM"),
        ("kill", (-1, 9), "EPERM"),
        ("kill", (-PID, 9), "EPERM"),
        ("tgkill", (PID, 5, 9), ALLOW),
        ("tgkill", (1, 1, 9), "EPERM"),
        ("prlimit64", (0, 7), ALLOW),
        ("prlimit64", (1, 7), "EPERM"),
        ("prctl", (15,), ALLOW),
        ("prctl", (1,), "EPERM"),
        ("prctl", (22,), "EPERM"),
        ("socketpair", (1, 1), ALLOW),
        ("socketpair", (1, 1 | 0o2000000), ALLOW),
        ("socketpair", (1, 2), "EACCES"),
        ("socketpair", (2, 1), "EACCES"),
        ("sendto", (3, 1, 1, 0x4000, 0, 0), ALLOW),
        ("sendto", (3, 1, 1, 0, 0x7FFF00000000, 16), "EPERM"),
        ("sendto", (3, 1, 1, 0, 0x1000, 16), "EPERM"),
        ("sendto", (3, 1, 1, 0x20000000, 0, 0), "EPERM"),
        ("sendmsg", (3, 1, 0), ALLOW),
        ("sendmsg", (3, 1, 0x20000000), "EPERM"),
        ("sendmmsg", (3, 1, 1, 0x20000000), "EPERM"),
        ("fcntl", (3, 4), ALLOW),
        ("fcntl", (3, 8), "EPERM"),
        ("fcntl", (3, 10), "EPERM"),
        ("ioctl", (3, 0x5421), ALLOW),
        ("ioctl", (3, 0x5412), "ENOTTY"),
        ("openat", (-100, 1, 0), ALLOW),
        ("openat", (-100, 1, 0o1000), "EACCES"),
        ("openat", (-100, 1, 0o1001), ALLOW),  # Landlock decides over writing
    ],
)
@pytest.mark.parametrize("machine", MACHINES)
def test_some_calls_are_judged_by_their_arguments(
    machine: tuple[int, int], name: str, arguments: tuple[int, ...], decision: str
) -> None:
    number = BY_ARGUMENTS[name][machine[0]]
    assert number is not None

    program = program_for(*machine, pid=PID)
    assert decided(program, number, machine[1], *arguments) == decision
