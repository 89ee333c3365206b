"""Go tools, pinned by go.mod and go.sum, built once into the user's cache.

python -m scripts.tools helm kubeconform     # build what is missing, link into .tools/bin
scripts.tools.path("helm")                   # the same from Python

"""

from scripts.tools.build import path, pinned, provide, version_of
from scripts.tools.errors import ToolError

__all__ = ["ToolError", "path", "pinned", "provide", "version_of"]
