"""The chart on a real Kubernetes: installed, talked to, killed, scaled, upgraded and rolled back.

``python -m load.e2e_k8s`` or ``make e2e-k8s``. It takes whatever cluster ``kubectl`` stands at.
``inside`` holds what runs in a pod of the cluster; the rest runs beside ``kubectl`` and ``helm``.
"""
