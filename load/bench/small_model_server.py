"""Runs a real small language model behind an OpenAI-style server, until it is stopped.

    PYTHON load/bench/small_model_server.py MODEL.gguf PORT

PYTHON is an environment of its own that has ``xllamacpp``: nothing of it belongs to the product.
"""

import sys
import threading

from xllamacpp import CommonParams, Server  # type: ignore[import-not-found] # elsewhere, see above


def main() -> None:
    """Serve until the process is stopped."""
    params = CommonParams()
    params.model.path = sys.argv[1]
    params.model_alias = {"small"}
    params.hostnames = ["127.0.0.1"]
    params.port = int(sys.argv[2])
    params.n_ctx = 8192
    params.n_parallel = 1
    params.n_predict = 200
    params.cpuparams.n_threads = 2
    server = Server(params)
    print(f"small model at {server.listening_address}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
