"""`airdock check`: which modes a cluster can serve, before anything is installed, and why not.

- cluster.py: kubectl for one cluster
- wanted.py: what values need, read from the rendered chart
- rights.py, facts.py: what the API server answers, without a pod
- places.py, probe.py, pods.py: what only a pod finds out
- report.py: the table and the verdict on each mode
"""
