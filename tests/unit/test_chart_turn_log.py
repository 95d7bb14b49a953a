"""The chart with a log of turns: one pod that takes it there, and workers that tell it."""

from tests.helm_chart import EXAMPLES, F, environment, one, pods, rendered

ALL_ON = next(path for path in EXAMPLES if path.name == "all-values.yaml")


def test_one_pod_takes_the_log_and_workers_tell_it() -> None:
    objects = rendered(ALL_ON)
    told = dict(pods(objects))
    env = dict(environment(told[f"Deployment {F}-turn-log"]["containers"][0]))
    assert env["KOTAEMON_TURN_LOG"] == "elasticsearch:https://es.example:9200"
    assert env["ELASTICSEARCH_API_KEY"]["secretKeyRef"] == {
        "name": "elasticsearch",
        "key": "ELASTICSEARCH_API_KEY",
        "optional": True,
    }
    for spec in told.values():
        its_own = dict(environment(spec["containers"][0]))
        assert its_own.get("TURN_LOG", "on") == "on"
    assert dict(environment(told[f"StatefulSet {F}-worker"]["containers"][0]))["TURN_LOG"] == "on"
    deployment = one(objects, "Deployment", f"{F}-turn-log")
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]["type"]) == (
        1,
        "Recreate",
    )
    policy = one(objects, "NetworkPolicy", f"{F}-turn-log")
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert {6379, 9092, 9200} <= ports


def test_nothing_of_it_is_there_by_default() -> None:
    objects = rendered()
    assert not [one for one in objects if one["metadata"]["name"].endswith("-turn-log")]
