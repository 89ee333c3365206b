"""The one error that users of the images see."""


class ImageError(Exception):
    """An image cannot be had; the message is one sentence with the way out."""
