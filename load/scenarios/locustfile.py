"""The users of the scenarios, for locust.

    locust -f load/scenarios/locustfile.py --host https://chat.example.com [Browse Order …]

Without names all of them are there, in the proportions of their ``weight``.
"""

import os
import random
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

import gevent
from locust import User, constant_pacing, events, task

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from load.scenarios import orders
from load.scenarios.door import Door
from load.scenarios.playing import Connected, Player, cut_and_come_back, talk_through
from load.scenarios.talks import SAMPLE, BadTalks, Talks, read

_THINK_S: Final = 8.0
_EVERY_S: Final = 60.0
_numbers = iter(range(sys.maxsize))
"""Each virtual user of this process has one."""


@events.init_command_line_parser.add_listener
def options(parser: Any) -> None:
    """Say what these scenarios need besides; each is a setting in the environment, too."""
    parser.add_argument(
        "--api-key", env_var="KOTAEMON_API_KEY", default="", is_secret=True,
        help="Key by which all users ask; without one the cluster has to be open",
    )  # fmt: skip
    parser.add_argument(
        "--talks", env_var="KOTAEMON_LOAD_TALKS", default=str(SAMPLE),
        help="What is asked: a .txt with a question a line, or a .yaml with whole conversations",
    )  # fmt: skip
    parser.add_argument(
        "--customers", env_var="KOTAEMON_LOAD_CUSTOMERS", type=int, default=0,
        help="How many customers python -m load.scenarios.orders made; 0: the sample's own one",
    )  # fmt: skip
    parser.add_argument(
        "--think", env_var="KOTAEMON_LOAD_THINK", type=float, default=_THINK_S,
        help="Seconds between two messages of a conversation, half to one and a half times",
    )  # fmt: skip
    parser.add_argument(
        "--pods", env_var="KOTAEMON_LOAD_PODS", default="",
        help="Addresses of pods, by commas: Reconnect asks them for the rest, not the balancer",
    )  # fmt: skip


@events.init.add_listener
def check(environment: Any, **_: Any) -> None:
    """Refuse what cannot be used before anybody is asked."""
    asked = environment.parsed_options
    if not 0 <= asked.customers <= orders.CUSTOMERS_MAX:
        _refuse(f"--customers is 0 to {orders.CUSTOMERS_MAX}.")
    try:
        environment.talks = read(Path(asked.talks))
        for user in environment.user_classes:
            environment.talks.of(user.needs)
    except BadTalks as error:
        _refuse(str(error))


def _refuse(why: str) -> NoReturn:
    print(f"kotaemon: {why}", file=sys.stderr, flush=True)
    os._exit(2)  # an exception of a listener is logged, and the run goes on


class Visitor(User):
    """Somebody who talks with the assistant."""

    abstract = True
    needs = "browse"
    """The scenario whose talks it holds."""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        asked = environment.parsed_options
        self.number = next(_numbers)
        self.talks: Talks = environment.talks
        self._held = 0
        self._customers = asked.customers
        self._think_s = asked.think
        self.player = Player(
            door=Door(self.host or environment.host, api_key=asked.api_key),
            tell=self._tell,
            pause=self._pause,
            chance=random.Random(f"{self.number}/{os.getpid()}"),
        )

    def wait_time(self) -> float:
        """Wait between two conversations as between two messages."""
        return self._thinks_s()

    def on_stop(self) -> None:
        """End its connections."""
        self.player.door.close()

    def talk(self) -> None:
        """Hold the next conversation of its scenario."""
        names = {
            "customer": orders.customer(self.number, self._customers),
            "order": orders.order(self.number, self._customers, talk=self._held),
        }
        self._held += 1
        chosen = self.player.chance.choice(self.talks.of(self.needs))
        talk_through(self.player, self.needs, chosen, names)

    def question(self) -> str:
        """Return one that is understood alone."""
        return self.player.chance.choice(self.talks.questions)

    def _pause(self) -> None:
        gevent.sleep(self._thinks_s())

    def _thinks_s(self) -> float:
        return self.player.chance.uniform(0.5, 1.5) * self._think_s

    def _tell(
        self, what: str, took_s: float, *, chars: int = 0, error: Exception | None = None
    ) -> None:
        kind, _, name = what.partition(": ")
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=took_s * 1e3,
            response_length=chars,
            exception=error,
            context={},
        )


class Browse(Visitor):
    """Asks several questions of the documents, and what follows from them."""

    weight = 10

    @task
    def browse(self) -> None:
        """One conversation."""
        self.talk()


class Order(Visitor):
    """Asks where an order is; a plugin answers."""

    weight = 3
    needs = "order"

    @task
    def order(self) -> None:
        """One conversation."""
        self.talk()


class Cancel(Visitor):
    """Cancels an order, with the yes that it needs."""

    weight = 1
    needs = "cancel"

    @task
    def cancel(self) -> None:
        """One conversation."""
        self.talk()


class Reconnect(Visitor):
    """Is cut off in the middle of an answer and comes back for the rest."""

    weight = 2

    @task
    def reconnect(self) -> None:
        """One answer."""
        pods = self.environment.parsed_options.pods
        others = tuple(one for one in pods.split(",") if one)
        cut_and_come_back(self.player, self.question(), others=others)


class Minutely(Visitor):
    """Has the page open and asks one question a minute."""

    weight = 4
    wait_time = constant_pacing(_EVERY_S)

    def on_start(self) -> None:
        """Open the page, somewhen within the first minute: people do not come at once."""
        gevent.sleep(self.player.chance.uniform(0.0, self._think_s))
        self._page = Connected(self.player)
        self._page.open()

    def on_stop(self) -> None:
        """Close the page."""
        self._page.close()
        super().on_stop()

    @task
    def ask(self) -> None:
        """One question."""
        self._page.ask(self.question())
