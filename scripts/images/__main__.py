"""``python -m scripts.images list|build|push``: the container images that the chart's defaults name."""

from __future__ import annotations

import argparse
import sys

from scripts.images import DEFAULTS, IMAGES, Image, ImageError, build, choose_official, push
from scripts.images.cache import image_path
from scripts.images.oci import Layout
from scripts.tools import ToolError


def _list() -> None:
    """Print each image, where it is in the cache, and its size."""
    official = choose_official()
    print(f"{'official images of docker.io' if official else 'stand-ins, built here'}:")
    width = max(len(image.reference) for image in IMAGES) + 2
    for image in IMAGES:
        path = image_path(image, official)
        state = f"{Layout(path).size / 1e6:.0f} MB  {path}" if path.is_dir() else "not built"
        print(f"{image.reference:{width}}{state}")


def _chosen(names: list[str]) -> tuple[Image, ...]:
    """The images of these short names; for none, those that the chart's defaults name."""
    known = {image.name: image for image in IMAGES}
    if unknown := [name for name in names if name not in known]:
        raise ImageError(f"There is no image {unknown[0]!r}; there are {', '.join(known)}.")
    return tuple(known[name] for name in names) or DEFAULTS


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what there is and what is built")
    builder = commands.add_parser("build", help="provide images in the cache")
    pusher = commands.add_parser(
        "push", help="push images to a plain HTTP registry, building what is missing"
    )
    pusher.add_argument("registry", help="host:port")
    for command in (builder, pusher):
        command.add_argument(
            "names", nargs="*", metavar="NAME", help=f"of {', '.join(i.name for i in IMAGES)}"
        )
    arguments = parser.parse_args()
    try:
        if arguments.command == "list":
            _list()
        elif arguments.command == "build":
            for path in build(_chosen(arguments.names)).values():
                print(path)
        else:
            push(arguments.registry, _chosen(arguments.names))
    except (ImageError, ToolError) as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
