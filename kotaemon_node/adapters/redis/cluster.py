"""A client of a Redis Cluster: commands go where their key is, whatever moves meanwhile.

redis-py's own gives up a whole pipeline where one node fails. Here each command has its own reply.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.client import Pipeline
from redis.exceptions import AskError, MovedError, RedisError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from kotaemon_node.adapters.redis.address import Address
from kotaemon_node.adapters.redis.durability import Seal, Unconfirmed, refused
from kotaemon_node.adapters.redis.patience import PATIENCE_S, changing_hands, patiently
from kotaemon_node.adapters.redis.slots import Node, SlotTable, slot_of

# Whoever takes replies of many one by one waits less for each: the others are wanted as well.
_GROUP_PATIENCE_S = 0.5
_GROUP_REPLY_S = 1.0

_EVERYWHERE = ("SCRIPT ", "FLUSH")
_KEYLESS = ("TIME", "PING")


@dataclass(slots=True)
class Command:
    """One command on its way; ``reply`` may be an error."""

    args: tuple[Any, ...]
    options: dict[str, Any]
    slot: int | None
    reply: Any = None
    asked_at: Address | None = None
    """Where to send it once, because its slot is on its way there."""

    @classmethod
    def of(cls, args: tuple[Any, ...], options: dict[str, Any]) -> "Command":
        """Return a command that is to be sent to the node of its first key."""
        key = _key_of(args)
        return cls(args, options, None if key is None else slot_of(key))

    @property
    def published(self) -> bool:
        """A signal goes behind the scripts of its slot, also when those are repeated."""
        return str(self.args[0]) == "SPUBLISH"


class _Unsettled(Exception):
    """Some commands must be sent again."""


@dataclass(slots=True)
class _Flight:
    """Commands written to a node and not answered yet."""

    node: Node
    connection: Any
    commands: list[Command]
    seal: Seal | None = None
    """Two more replies come behind those of the commands."""


class ClusterClient(redis.Redis):
    """``redis.Redis`` on a Cluster: commands and pipelines of keys of any slots. Thread safe.

    A command of several keys needs them in one slot; its first one says in which.
    """

    def __init__(self, seeds: Sequence[Address], options: dict[str, Any]) -> None:
        super().__init__(connection_pool=redis.ConnectionPool(protocol=2))  # never connects
        self.slots = SlotTable(seeds, options)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command; a lost reply makes it run twice."""
        if str(args[0]).upper().startswith(_EVERYWHERE):
            return self._run_everywhere(args, options)
        command = Command.of(args, options)
        self.run_all([command])
        if isinstance(command.reply, Exception):
            raise command.reply
        return command.reply

    def publish(self, channel: Any, message: Any, **_: Any) -> Any:
        """Publish to those who listen at the channel's node."""
        return self.execute_command("SPUBLISH", channel, message)

    def pipeline(self, transaction: bool = False, shard_hint: Any = None) -> Pipeline:
        """Return a pipeline; never a transaction, because its keys may be anywhere."""
        pipe = _Pipeline(self.connection_pool, self.response_callbacks, False, shard_hint)
        pipe.via = self
        return pipe

    def close(self) -> None:
        """Close all connections."""
        self.slots.close()

    def _run_everywhere(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Run at every primary; one that is away learns when it is back, by being asked."""
        replies: list[Any] = []
        errors: list[Exception] = []
        for node in self.slots.primaries():
            try:
                replies.append(node.client.execute_command(*args, **options))
            except RedisError as error:
                errors.append(error)
        if not replies:
            raise errors[0]
        return replies[0]

    def run_all(
        self, commands: Sequence[Command], *, hurry: bool = False, seal: Seal | None = None
    ) -> None:
        """Give each command its reply; those that were redirected or met a failure are repeated.

        In a ``hurry`` a node that hangs is not waited for long, nor asked again. With a ``seal``
        each node confirms its share; a command that was not confirmed has that as its reply.
        """
        pending = list(commands)

        def unsettled(command: Command) -> bool:
            return _unsettled(command.reply) and not (
                hurry and isinstance(command.reply, RedisTimeoutError)
            )

        def attempt() -> None:
            self._send_round(pending, hurry=hurry, seal=seal)
            again = [command for command in pending if unsettled(command)]
            if again:
                slots = {command.slot for command in again}
                pending[:] = [
                    command
                    for command in pending
                    if unsettled(command) or (command.published and command.slot in slots)
                ]
                raise _Unsettled

        try:
            patiently(
                attempt,
                lambda _: self._mend(pending),
                errors=(_Unsettled,),
                wait_s=_GROUP_PATIENCE_S if hurry else PATIENCE_S,
            )
        except _Unsettled:
            return  # the replies say what is wrong

    def _mend(self, pending: Sequence[Command]) -> None:
        """Learn from the errors where to send the commands next."""
        lost = False
        for command in pending:
            match command.reply:
                case MovedError() as error:
                    self.slots.moved(error.slot_id, _address(error))
                    lost = True
                case AskError() as error:
                    command.asked_at = _address(error)
                case RedisConnectionError() | RedisTimeoutError():
                    lost = True
                case ResponseError() as error:
                    lost = lost or not isinstance(error, TryAgainError)
                case _:
                    pass  # a signal that goes behind a script again
        if lost:
            try:
                self.slots.read()
            except RedisConnectionError:
                return  # the next round tells it to whoever asked

    def _send_round(self, commands: Sequence[Command], *, hurry: bool, seal: Seal | None) -> None:
        """Write to all nodes, then read from all; every command has a reply then."""
        shares = self._shares(commands)
        flights: list[_Flight] = []
        try:
            for node, share in shares:
                if hurry and not node.awake():
                    _fail(share, RedisTimeoutError("the node hung a moment ago"))
                elif flight := _written(node, share, self._confirming(node, seal)):
                    flight.seal = seal
                    flights.append(flight)
            while flights:
                _receive(flights[0], wait_s=_GROUP_REPLY_S if hurry else None)
                flights.pop(0)
        finally:
            for flight in flights:  # whoever was stopped here leaves no replies to others
                flight.connection.disconnect()
                flight.node.pool.release(flight.connection)

    def _shares(self, commands: Sequence[Command]) -> list[tuple[Node, list[Command]]]:
        """Return what is for each node, in one order everywhere.

        Two that wait for each other's connections would wait long.
        """
        shares: dict[Address, tuple[Node, list[Command]]] = {}
        for command in commands:
            try:
                node = self._target(command)
            except RedisConnectionError as error:
                command.reply = error
            else:
                shares.setdefault(node.address, (node, []))[1].append(command)
        return [shares[address] for address in sorted(shares)]

    def _confirming(self, node: Node, seal: Seal | None) -> Sequence[tuple[Any, ...]]:
        return seal.commands(self.slots.touch(node)) if seal is not None else ()

    def _target(self, command: Command) -> Node:
        if command.asked_at is not None:
            return self.slots.node(command.asked_at)
        if command.slot is None:
            return self.slots.primaries()[0]
        return self.slots.of_slot(command.slot)


class _Pipeline(Pipeline):
    via: ClusterClient
    seal: Seal | None = None

    def publish(self, channel: Any, message: Any, **_: Any) -> Any:
        return self.pipeline_execute_command("SPUBLISH", channel, message)

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """See redis-py. Whoever takes errors one by one wants the other replies soon."""
        stack, self.command_stack = self.command_stack, []
        commands = [Command.of(args, options) for args, options in stack]
        if commands:
            self.via.run_all(commands, hurry=not raise_on_error, seal=self.seal)
        replies = [command.reply for command in commands]
        if raise_on_error:
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return replies


def _written(
    node: Node, commands: list[Command], behind: Sequence[tuple[Any, ...]]
) -> _Flight | None:
    """Send commands to a node; None when that failed, which they have as reply then."""
    try:
        connection: Any = node.pool.get_connection()
    except (RedisConnectionError, RedisTimeoutError) as error:
        _fail(commands, error)
        return None
    packed: list[tuple[Any, ...]] = []
    for command in commands:
        if command.asked_at is not None:
            packed.append(("ASKING",))
        packed.append(command.args)
    packed.extend(behind)
    try:
        connection.send_packed_command(connection.pack_commands(packed), check_health=False)
    except BaseException as error:
        connection.disconnect()
        node.pool.release(connection)
        if not isinstance(error, (RedisConnectionError, RedisTimeoutError)):
            raise
        _fail(commands, error)
        return None
    return _Flight(node, connection, commands)


def _receive(flight: _Flight, *, wait_s: float | None) -> None:
    """Read a reply for each command of a flight, and give its connection back."""
    node, connection = flight.node, flight.connection
    waiting = list(flight.commands)
    try:
        _await_reply(connection, wait_s)
        while waiting:
            command = waiting[0]
            if command.asked_at is not None:
                connection.read_response()
                command.asked_at = None
            try:
                command.reply = node.client.parse_response(
                    connection, command.args[0], **command.options
                )
            except ResponseError as error:
                command.reply = error
            waiting.pop(0)
        unconfirmed = flight.seal is not None and not _confirmed(flight, flight.seal)
        if not unconfirmed:
            node.answered()
        elif wait_s is not None:
            node.rest()
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        connection.disconnect()
        if isinstance(error, RedisTimeoutError):
            node.rest()
        _fail(flight.commands if flight.seal is not None else waiting, error)
    node.pool.release(connection)


def _confirmed(flight: _Flight, seal: Seal) -> bool:
    """Read the two replies behind those of the commands; False: the node's replica is silent.

    Where there is anything wrong, the commands have it as their reply.
    """
    replies: list[Any] = []
    for _ in range(2):
        try:
            replies.append(flight.connection.read_response())
        except ResponseError as error:
            replies.append(error)
    refusal = seal.refusal(*replies)
    kept = refused([command.reply for command in flight.commands], refusal)
    for command, reply in zip(flight.commands, kept, strict=True):
        command.reply = reply
    if isinstance(refusal, TryAgainError):
        flight.node.touched += 1  # another slot, which is not on its way
    return not isinstance(refusal, Unconfirmed)


def _await_reply(connection: Any, wait_s: float | None) -> None:
    if wait_s is not None and not connection.can_read(timeout=wait_s):
        raise RedisTimeoutError("the node did not answer in time")


def _fail(commands: Sequence[Command], error: Exception) -> None:
    for command in commands:
        command.reply = error
        command.asked_at = None


def _unsettled(reply: Any) -> bool:
    return isinstance(reply, AskError) or (isinstance(reply, Exception) and changing_hands(reply))


def _address(error: Any) -> Address:
    return error.host, error.port


def _key_of(args: tuple[Any, ...]) -> Any:
    """Return the first key of a command, None where it has none."""
    match str(args[0]).upper():
        case "EVALSHA" | "EVAL":
            return args[3]
        case "XREAD":
            return args[args.index(b"STREAMS" if b"STREAMS" in args else "STREAMS") + 1]
        case name if name in _KEYLESS:
            return None
        case _:
            return args[1]
