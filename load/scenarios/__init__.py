"""Real conversations as load: to size your own cluster, and to see that its answers are right.

    make scenarios ARGS='--host http://127.0.0.1:8080 --headless --users 20 --run-time 2m'

``locustfile`` has the users, ``playing`` what they do, ``watched`` what has to be right of a
stream, ``talks`` what is said. Nothing but ``locustfile`` knows locust.
docs/how-to/size-your-cluster.md says how to use them.
"""
