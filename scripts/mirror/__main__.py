"""Print the images that a values file needs, one a line; with --to, copy them to another registry.

Images that DAGs name are not listed.

Exit code: 0 done, 1 an image was not copied, 2 the values cannot be rendered.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from scripts.chart import KUBE_VERSIONS, ManifestError, RenderError, render
from scripts.lint.inputs import InputError, merged_values, sentence
from scripts.mirror.copying import CopyError, collisions, copy
from scripts.mirror.needed import mirrored, needed
from scripts.tools import ToolError


def main(arguments: Sequence[str] | None = None, prog: str = "python -m scripts.mirror") -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "-f", "--values", action="extend", nargs="+", default=[], metavar="FILE", help="later files win"
    )
    parser.add_argument("--to", metavar="REGISTRY", help="registry, optionally with a path")
    parser.add_argument("--kube-version", default=KUBE_VERSIONS[-1], metavar="X.Y")
    options = parser.parse_args(arguments)
    try:
        values = merged_values(options.values)
        if options.to:  # The images as they are before they have moved.
            values["images"] = {**(values.get("images") or {}), "registry": ""}
            values["global"] = {**(values.get("global") or {}), "imageRegistry": ""}
        images = needed(render(values, kube_version=options.kube_version))
    except (InputError, RenderError, ManifestError, ToolError) as error:
        print(f"images: {sentence(str(error))}", file=sys.stderr)
        return 2
    if not options.to:
        for image in images:
            print(image.name)
        return 0
    targets = [(image.name, mirrored(image.name, options.to)) for image in images]
    problems = collisions(targets)
    if not problems:
        for source, target in targets:
            try:
                print(f"{target}  {copy(source, target)}", flush=True)
            except (CopyError, ToolError) as error:
                problems.append(str(error))
    for problem in problems:
        print(f"images: {problem}", file=sys.stderr)
    if not problems:
        print(f"Set images.registry: {options.to}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
