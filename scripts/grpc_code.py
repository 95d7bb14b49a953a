"""Makes the code of ``kotaemon_node/rpc/kotaemon.proto`` anew: ``python -m scripts.grpc_code``."""

import sys
from importlib.resources import files
from pathlib import Path

PROTO = "kotaemon_node/rpc/kotaemon.proto"
GENERATED = ("kotaemon_pb2.py", "kotaemon_pb2_grpc.py")


def make(root: Path, out: Path) -> None:
    """Write the modules of ``GENERATED`` below ``out``, in the folder of the proto."""
    from grpc_tools import protoc  # noqa: PLC0415 - needs the extra ``test``

    well_known = files("grpc_tools") / "_proto"
    arguments = [f"-I{root}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}"]
    status = protoc.main(["protoc", *arguments, PROTO])
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    _root = Path(__file__).parents[1]
    make(_root, _root)
    sys.stdout.write(f"{', '.join(GENERATED)} are as {PROTO} says\n")
