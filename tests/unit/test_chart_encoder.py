"""The chart with an encoder elsewhere: all who encode ask it, with the key of a secret."""

from tests.helm_chart import EXAMPLES, F, environment, one, pods, rendered

ALL_ON = next(path for path in EXAMPLES if path.name == "all-values.yaml")
URL = "http://encoder.models:8100/v1"


def test_whoever_encodes_asks_the_encoder_elsewhere() -> None:
    told = {name: dict(environment(spec["containers"][0])) for name, spec in pods(rendered(ALL_ON))}
    asking = {name for name, each in told.items() if each.get("ENCODER_URL") == URL}

    # Whoever has another idea of the encoder would refuse what the others build.
    for part in ("worker", "coordinator", "build-worker"):
        (name,) = [name for name in told if name.endswith(f" {F}-{part}")]
        assert name in asking
        assert told[name]["ENCODER_BACKEND"] == "http"
        assert told[name]["ENCODER_MODEL"] == "all-MiniLM-L6-v2+bge-small-zh-v1.5"
        assert told[name]["ENCODER_API_KEY"]["secretKeyRef"] == {
            "name": "encoder",
            "key": "api-key",
        }


def test_without_an_address_pods_encode_themselves() -> None:
    objects = rendered(sets=('encoder.model="bge-small-zh-v1.5"',))
    told = dict(environment(dict(pods(objects))[f"StatefulSet {F}-worker"]["containers"][0]))

    assert told["ENCODER_MODEL"] == "bge-small-zh-v1.5"
    assert not {"ENCODER_URL", "ENCODER_BACKEND", "ENCODER_API_KEY"} & told.keys()
    assert one(objects, "NetworkPolicy", f"{F}-worker")
