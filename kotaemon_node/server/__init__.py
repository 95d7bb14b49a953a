"""How a worker pod is served: gunicorn's configuration and the WSGI application."""
