"""The one error that users of the cluster see."""


class ClusterError(Exception):
    """The cluster cannot start or stop; the message says what is in the way and the way out."""
