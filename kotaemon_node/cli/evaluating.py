"""What experiments stand on, made as the settings say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.encoder.remote import RemotePlace
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.composition.outside import language_model_of
from kotaemon_node.evaluation.base import Tell
from kotaemon_node.evaluation.building import CoordinatorBuild
from kotaemon_node.evaluation.calibration import calibrate
from kotaemon_node.evaluation.experiment import EXTRACTIVE, Experiment
from kotaemon_node.evaluation.run import Ran, Surroundings, run
from kotaemon_node.local import places, weights
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.language_model import LanguageModel
from kotaemon_node.settings import Settings


def run_experiment(
    experiment: Experiment, settings: Settings, *, tell: Tell, room: Path | None
) -> Ran:
    """Run an experiment; errors as ``evaluation.run.run`` and those of an encoder's setup."""
    model = experiment.encoder_model or settings.encoder_model
    models = _models(settings, model)
    around = Surroundings(
        build=CoordinatorBuild(model, settings.encoder_backend, models, settings.encoder_threads),
        encoder=_encoder(settings, model, models),
        language_model=language_model(settings, experiment),
        expander_model=_model_of(settings, experiment, experiment.expander_model),
        clock=SystemClock(),
        tell=tell,
        room=room,
    )
    return run(experiment, around)


def calibrate_proxies(file: Path, settings: Settings, *, tell: Tell) -> Mapping[str, Any]:
    """Return how far proxies agree with people, by the encoder of the settings."""
    model = settings.encoder_model
    encoder = _encoder(settings, model, _models(settings, model))
    return calibrate(file, encoder, tell=tell)


def _models(settings: Settings, model: str) -> Path:
    given = settings.model_dir if "model_dir" in settings.model_fields_set else None
    models = given or places.models_folder()
    if settings.encoder_backend == "onnx":
        weights.check_weights(models, model)
    return models


def _encoder(settings: Settings, model: str, models: Path) -> Encoder:
    return make_encoder(
        model,
        settings.encoder_backend,
        models,
        settings.encoder_threads,
        remote=RemotePlace(settings.encoder_url, settings.encoder_api_key),
    )


def language_model(settings: Settings, experiment: Experiment) -> LanguageModel | None:
    """Return the model that the experiment names, at the server that the settings name."""
    return _model_of(settings, experiment, experiment.generator)


def _model_of(settings: Settings, experiment: Experiment, name: str | None) -> LanguageModel | None:
    if name is None or name == EXTRACTIVE:
        return None
    sampling: dict[str, float] = {"seed": experiment.seed}
    if experiment.temperature is not None:
        sampling["temperature"] = experiment.temperature
    named = settings.model_copy(update={"llm_model": name})
    return language_model_of(named, sampling=sampling)
