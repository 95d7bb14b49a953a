"""From the settings to an encoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, get_args

from kotaemon_node.adapters.encoder.agreement import Told, check_agreement, tell_nobody
from kotaemon_node.adapters.encoder.catalogue import find_model, known_model, names_in
from kotaemon_node.adapters.encoder.errors import EncoderSetupError, UnknownModel
from kotaemon_node.adapters.encoder.onnx import OnnxEncoder
from kotaemon_node.adapters.encoder.remote import RemotePlace, load_remote
from kotaemon_node.adapters.encoder.routed import RoutedEncoder
from kotaemon_node.adapters.encoder.texts import space_name
from kotaemon_node.adapters.encoder.use import is_use, load_use
from kotaemon_node.domain.language import Language
from kotaemon_node.ports.encoder import Encoder


class _LocalEncoder(Encoder, Protocol):
    """One that computes here; can be had without prefixes."""

    def plain(self) -> Encoder: ...


def make_encoder(
    model: str,
    backend: str,
    model_dir: Path,
    threads: int,
    *,
    remote: RemotePlace | None = None,
    told: Told = tell_nobody,
) -> Encoder:
    """Return the encoder of the settings ``ENCODER_MODEL`` and ``ENCODER_BACKEND``.

    ``model`` is one name or alias, or several joined by ``+``: then each text goes to the first of
    them that speaks its language. Empty is the default of ADR 0003. Backend ``onnx`` knows the
    catalogue's models, whose files it reads from ``model_dir/<model>``; ``torch`` loads any
    sentence-transformers name or folder; ``use-multilingual-v3`` is a package and has no backend;
    ``http`` asks the server at ``remote`` for that model.

    Models that have probes are tried on them; ``told`` hears how well each agrees.

    Raises ``EncoderSetupError`` (unknown name, files missing or wrong, torch not installed, other
    vectors than the model's).
    """
    names = names_in(model)
    routes = _routes(names, model=model) if len(names) > 1 else {}
    encoders = {}
    for name in names:
        one = _make_one(name, backend=backend, model_dir=model_dir, threads=threads, remote=remote)
        known = find_model(name)
        if known is not None:
            check_agreement(one, known.name, told)
        encoders[name] = one
    if not routes:
        return encoders[names[0]]
    return RoutedEncoder({language: encoders[name] for language, name in routes.items()})


def make_plain_encoders(
    model: str, backend: str, model_dir: Path, threads: int, *, told: Told = tell_nobody
) -> Mapping[str, Encoder]:
    """Return the encoder of each name by itself and without prefixes: for others to ask.

    Errors as ``make_encoder``.
    """
    encoders = {}
    for name in names_in(model):
        one = _make_local(name, backend=backend, model_dir=model_dir, threads=threads)
        known = find_model(name)
        if known is not None:
            check_agreement(one, known.name, told)
        encoders[known.name if known else space_name(name)] = one.plain()
    return encoders


def models_to_install(model: str, backend: str) -> tuple[str, ...]:
    """Return the names that ``install_models`` must fetch for these settings.

    Backend ``torch`` fetches its own models by its own library and ``http`` needs none here.
    """
    if backend != "onnx":
        return ()
    return tuple(known_model(name).name for name in names_in(model) if not is_use(name))


def _make_one(
    name: str, *, backend: str, model_dir: Path, threads: int, remote: RemotePlace | None
) -> Encoder:
    if backend == "http":
        return load_remote(name, remote or RemotePlace(""))
    return _make_local(name, backend=backend, model_dir=model_dir, threads=threads)


def _make_local(name: str, *, backend: str, model_dir: Path, threads: int) -> _LocalEncoder:
    if is_use(name):
        return load_use(threads)
    if backend == "onnx":
        model = known_model(name)
        return OnnxEncoder(model, folder=model_dir / model.name, threads=threads)
    if backend == "torch":
        # Imported here: torch takes seconds and gigabytes, and is an extra that few install.
        from kotaemon_node.adapters.encoder.sentence_transformers import (  # noqa: PLC0415
            load_reference,
        )

        return load_reference(name, model_dir=model_dir, threads=threads)
    raise EncoderSetupError(f"ENCODER_BACKEND must be onnx, torch or http, not '{backend}'.")


def _routes(names: tuple[str, ...], *, model: str) -> Mapping[Language, str]:
    """Return which name serves which language; each must serve one, and each must be served."""
    routes: dict[Language, str] = {}
    for name in names:
        known = find_model(name)
        free = (known.languages if known else frozenset(get_args(Language))) - routes.keys()
        if not free:
            raise UnknownModel(f"In '{model}' the models before {name} speak all its languages.")
        routes.update(dict.fromkeys(free, name))
    if set(routes) != set(get_args(Language)):
        raise UnknownModel(f"The models of '{model}' speak only {', '.join(routes)}.")
    return routes
