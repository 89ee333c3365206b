"""The one error that users of the machine see."""


class MachineError(Exception):
    """The machine cannot be built, does not boot or does not answer; the message says what and why."""
