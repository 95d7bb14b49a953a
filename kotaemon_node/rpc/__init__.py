"""The gRPC door: a process beside the pod's own, which ends with it (docs/adr/0034-grpc.md).

Nothing here is imported by a pod that has no ``GRPC_PORT``.
"""
