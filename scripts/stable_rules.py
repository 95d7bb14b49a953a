"""What breaks programs of others, between two surfaces; what only adds breaks nobody.

Of what callers send, more may be allowed and never less. Of what they get, more may be there and
never less: whoever reads answers and frames passes over fields, values and types that it does not
know (docs/reference/schemas.md says so to authors of clients).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

Direction = Literal["sent", "got"]
Surface = Mapping[str, Any]
Schemas = Mapping[str, Any]

_POSITIONAL: Final = "POSITIONAL_OR_KEYWORD"
# Bounds of what is sent, and in which direction each may move.
_WIDER: Final[Mapping[str, Callable[[float, float], bool]]] = {
    **dict.fromkeys(
        ("maxLength", "maxItems", "maximum", "exclusiveMaximum"), lambda old, new: new >= old
    ),
    **dict.fromkeys(("minLength", "minItems", "minimum"), lambda old, new: new <= old),
}


def broken(old: Surface, new: Surface) -> Iterator[str]:
    """Yield a sentence for each way in which programs for ``old`` fail with ``new``."""
    pair = _Pair(old["schemas"], new["schemas"])
    for route, before in old["routes"].items():
        after = new["routes"].get(route)
        if after is None:
            yield f"{route} is gone"
        else:
            yield from _operation(route, before, after, pair)
    yield from _changed("error", old["errors"], new["errors"])
    for part in ("methods", "fields"):
        yield from _changed("gRPC", old["grpc"][part], new["grpc"][part])
    for package, names in old["python"].items():
        yield from _package(package, names, new["python"].get(package, {}))


def _changed(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name, said in old.items():
        if new.get(name) != said:
            yield f"{what} {name}: {said} became {new.get(name, 'nothing')}"


def _operation(
    route: str, old: Mapping[str, Any], new: Mapping[str, Any], pair: "_Pair"
) -> Iterator[str]:
    for name, before in old["parameters"].items():
        after = new["parameters"].get(name)
        if after is None:
            yield f"{route}: parameter {name} is gone"
        else:
            yield from pair.compare(f"{route} {name}", before["schema"], after["schema"], "sent")
    for name, after in new["parameters"].items():
        if after["required"] and not old["parameters"].get(name, {}).get("required"):
            yield f"{route}: parameter {name} is required now"
    if new["body_required"] and not old["body_required"]:
        yield f"{route}: a body is required now"
    yield from _contents(f"{route}: body", old["body"], new["body"], "sent", pair)
    for status, before in old["answers"].items():
        if status not in new["answers"]:
            yield f"{route}: no {status} any more"
        else:
            yield from _contents(f"{route} {status}", before, new["answers"][status], "got", pair)


def _contents(
    at: str, old: Mapping[str, Any], new: Mapping[str, Any], way: Direction, pair: "_Pair"
) -> Iterator[str]:
    for kind, schema in old.items():
        if kind not in new:
            yield f"{at}: no {kind} any more"
        else:
            yield from pair.compare(at, schema, new[kind], way)


class _Pair:
    """Two sets of named schemas; each pair of names is compared once."""

    def __init__(self, old: Schemas, new: Schemas) -> None:
        self._old = old
        self._new = new
        self._done: set[tuple[str, str, Direction]] = set()

    def compare(self, at: str, old: Any, new: Any, way: Direction) -> Iterator[str]:
        """Yield what breaks between two schemas of a place."""
        names = str(old.get("$ref", "")), str(new.get("$ref", ""))
        if any(names):
            if (*names, way) in self._done:
                return
            self._done.add((*names, way))
        old, new = _followed(old, self._old), _followed(new, self._new)
        if _variants(old) or _variants(new):
            yield from self._forms(at, old, new, way)
            return
        yield from _types(at, old, new, way)
        yield from _values(at, old, new)
        yield from self._fields(at, old, new, way)
        for name in ("items", "additionalProperties", "contentSchema"):
            before, after = old.get(name), new.get(name)
            if isinstance(before, Mapping) and isinstance(after, Mapping):
                yield from self.compare(f"{at}[]", before, after, way)
        if way == "sent":
            yield from _bounds(at, old, new)

    def _fields(self, at: str, old: Any, new: Any, way: Direction) -> Iterator[str]:
        fields = new.get("properties", {})
        for name, before in old.get("properties", {}).items():
            if name not in fields:
                yield f"{at}: field {name} is gone"
            else:
                yield from self.compare(f"{at}.{name}", before, fields[name], way)
        was, now = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(now - was if way == "sent" else was - now):
            told = "is required now" if way == "sent" else "may be missing now"
            yield f"{at}: field {name} {told}"

    def _forms(self, at: str, old: Any, new: Any, way: Direction) -> Iterator[str]:
        """Compare where one side at least has several forms.

        What was sent must still be taken. What is got must have been known, but for frames: those
        say what they are, and strange ones are passed over; one that came must still come.
        """
        before, after = _variants(old) or [old], _variants(new) or [new]
        told = "discriminator" in new
        if way == "sent" or told:
            for one in before:
                if not any(self._fits(one, other, way) for other in after):
                    yield f"{at}: the form {_shown(one)} is gone"
        if way == "got" and not told:
            for other in after:
                if not any(self._fits(one, other, way) for one in before):
                    yield f"{at}: the form {_shown(other)} is new"

    def _fits(self, old: Any, new: Any, way: Direction) -> bool:
        """Tell whether a form went into this one; with findings of its own, for it is a try."""
        trial = _Pair(self._old, self._new)
        trial._done |= self._done  # a schema within itself is looked at once
        return not list(trial.compare("", old, new, way))


def _followed(schema: Mapping[str, Any], named: Schemas) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    return named.get(reference.rpartition("/")[2], {}) if reference else schema


def _shown(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", schema)).rpartition("/")[2][:80]


def _variants(schema: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [*schema.get("oneOf", ()), *schema.get("anyOf", ())]


def _types(at: str, old: Any, new: Any, way: Direction) -> Iterator[str]:
    before, after = _as_set(old.get("type")), _as_set(new.get("type"))
    if not before or not after:
        return  # it says none, or several forms that are compared one by one
    smaller, larger = (before, after) if way == "sent" else (after, before)
    if "number" in larger:
        larger = larger | {"integer"}
    if not smaller <= larger:
        yield f"{at}: {'/'.join(sorted(before))} became {'/'.join(sorted(after))}"


def _as_set(said: Any) -> set[str]:
    return {said} if isinstance(said, str) else set(said or ())


def _values(at: str, old: Any, new: Any) -> Iterator[str]:
    before, after = _choices(old), _choices(new)
    if before and after:
        for gone in sorted(str(one) for one in before if one not in after):
            yield f"{at}: the value {gone} is gone"


def _choices(schema: Mapping[str, Any]) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _bounds(at: str, old: Any, new: Any) -> Iterator[str]:
    for name, wider in _WIDER.items():
        if name in new and (name not in old or not wider(old[name], new[name])):
            yield f"{at}: {name} {old.get(name, 'none')} became {new[name]}"
    if "pattern" in new and old.get("pattern") != new["pattern"]:
        yield f"{at}: pattern {old.get('pattern', 'none')} became {new['pattern']}"
    if _choices(new) and not _choices(old):
        yield f"{at}: only some values are taken now"


def _package(package: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name, before in old.items():
        at = f"{package}.{name}"
        if name not in new:
            yield f"{at} is gone"
        elif (before is None) != (new[name] is None):
            yield f"{at} is {'called' if before is None else 'not called any more'}"
        elif before is not None:
            yield from _call(at, before, new[name])


def _call(at: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[str]:
    there = {name: (kind, optional) for name, kind, optional in new}
    for name, kind, optional in old:
        if name not in there:
            yield f"{at}: parameter {name} is gone"
            continue
        kind_now, optional_now = there[name]
        if kind == _POSITIONAL and kind_now != _POSITIONAL:
            yield f"{at}: parameter {name} is not positional any more"
        if optional and not optional_now:
            yield f"{at}: parameter {name} is required now"
    known = {name for name, _, _ in old}
    for name, kind, optional in new:
        if name not in known and not optional and not kind.startswith("VAR_"):
            yield f"{at}: parameter {name} is new and required"
    before = [name for name, kind, _ in old if kind == _POSITIONAL and name in there]
    # A new one among them moves those behind it.
    if before != [name for name, kind, _ in new if kind == _POSITIONAL][: len(before)]:
        yield f"{at}: its parameters have another order"
