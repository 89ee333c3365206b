"""The Docker gateway.

The part of the Docker API that Airflow uses, in front of a cluster or of a filtered daemon.
"""
