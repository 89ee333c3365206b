"""What stands behind the gateway in tests of its threads: a Docker daemon and an API server that record.

world.py   what both share: containers that print, end and die when the test says so
daemon.py  the Docker daemon's answers
cluster.py the API server's answers, the kubelet's deeds included
http.py    either of them on a real socket, for the gateway's own clients
direct.py  either of them without HTTP, for tests that make millions of requests

They know only what the gateway asks for; whether the real ones answer so is what tests/e2e tells.
"""
