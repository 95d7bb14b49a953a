"""The cluster as the store sees it: living pods, what they serve, and whether they agree."""

from typing import Final

from flask import Blueprint, Response

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.context import services
from kotaemon_node.api.convergence import cluster_form

routes: Final = Blueprint("cluster", __name__)


@routes.get("/v1/cluster")
def read_cluster() -> Response:
    """Show the pods, the generations they serve, and whether they agree."""
    return json_answer(cluster_form(services().presence.pods()))
