"""Many connected users for hours: does it answer, and does anything grow?

    python -m load.soak [--hours 12 | --minutes 30] [--users 8000]

``users`` are the clients, in a process of their own; ``watching`` looks at the cluster's processes;
``figures`` and ``slopes`` make of it what ``report`` and ``plots`` show.
"""
