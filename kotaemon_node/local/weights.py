"""Makes sure that the encoder's weights are there before workers look for them one by one."""

from pathlib import Path

from kotaemon_node.adapters.encoder.catalogue import names_in
from kotaemon_node.adapters.encoder.errors import UnknownModel
from kotaemon_node.adapters.encoder.install import missing_models
from kotaemon_node.adapters.encoder.use import is_use
from kotaemon_node.local.errors import LocalError


def check_weights(models: Path, encoder_model: str, backend: str = "onnx") -> None:
    """Make sure that the models of the setting (empty: the default) were fetched.

    Presence and size are looked at; checksums are the installer's and the loader's business. Other
    backends than ``onnx`` have their models elsewhere.
    """
    if backend != "onnx":
        return
    try:
        names = [name for name in names_in(encoder_model) if not is_use(name)]
        missing = missing_models(names, models)
    except UnknownModel as error:
        raise LocalError(f"ENCODER_MODEL cannot be used: {error}") from error
    if missing:
        raise LocalError(
            f"The weights of {' and '.join(missing)} are not in {models}; fetch them with"
            " `kotaemon models fetch` (in a checkout: `make install`)."
        )
