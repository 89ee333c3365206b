"""``make lint``: a release checked against security policies."""
