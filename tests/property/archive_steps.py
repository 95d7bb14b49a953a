"""Steps of one who archives the session, while pods do theirs: on the store and on the model."""

from kotaemon_node.adapters.redis import RedisColdSessions
from kotaemon_node.domain.session_copy import SessionCopy, unpacked
from tests.property.turn_steps import ANYBODY, TurnSteps

_KEPT_S = 9e6
_COPIES_MAX = 6


class ArchiveSteps(TurnSteps):
    """Copies lie about, and are acted upon late."""

    copies: list[SessionCopy]

    def make_copy(self) -> None:
        cold = RedisColdSessions(self.store)
        verdict = cold.look(self.session, rested_s=0).verdict
        if not self.model.epoch:
            assert verdict in {"expired", "ended", "deleted"}
            return
        if verdict == "deleted":  # copies of the session that had this id before
            self.attic.contents.clear()
            cold.purged(self.session)
            verdict = cold.look(self.session, rested_s=0).verdict
        assert verdict == ("busy" if self.model.open() else "rests")
        copy = cold.copy(self.session)
        if verdict == "rests" and copy is not None:
            self.attic.put_if_absent(copy.name.of(self.session), copy.packed())
            self.copies = [*self.copies[1 - _COPIES_MAX :], copy]

    def make_archive(self, pick: int) -> bool:
        """Return whether the session left the store."""
        copy = self.copies[pick % len(self.copies)]
        before = self.dump()
        reply = RedisColdSessions(self.store).archive(copy, rested_s=0, kept_s=_KEPT_S)
        if not self.model.epoch:
            expected = "gone"
        else:
            same = (copy.name.epoch, copy.name.version, int(copy.meta["fence"])) == (
                self.model.epoch,
                len(self.model.history),
                self.model.fence,
            )
            expected = "ok" if same and not self.model.open() else "changed"
        assert reply == expected
        if reply != "ok":
            assert self.dump() == before
            return False
        assert self.store.client.exists(*self.names.head()) == 0
        assert unpacked(self.attic.contents[copy.name.of(self.session)]) == copy
        return True

    def make_mark(self, pick: int) -> None:
        """One who believes that the store forgot is told that it did not."""
        copy = self.copies[pick % len(self.copies)]
        found = RedisColdSessions(self.store).mark(copy, kept_s=_KEPT_S)
        assert found == ("live" if self.model.epoch else "ended")

    def bring_back(self) -> None:
        view = self.sessions.load(self.session, ANYBODY, after_version=0, limit=0)
        assert (view.epoch, view.version) == (self.model.epoch, len(self.model.history))
