"""What a cluster of so many pods and turns asks of Redis, Kafka and HAProxy, from measured costs.

``measure*`` take unit costs on the real parts; ``demand`` is arithmetic over them, nothing else.
"""
