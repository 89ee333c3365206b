"""The one error that users of the tools see."""


class ToolError(Exception):
    """A tool cannot be had; the message is one sentence with the way out."""
