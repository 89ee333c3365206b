"""The container images: pulled where docker.io can be reached, else stand-ins with the same contract.

python -m scripts.images build          # OCI layouts in ~/.cache/airdock/images
python -m scripts.images push REGISTRY  # all of them to a plain HTTP registry, under docker.io's names

"""

from scripts.images.build import build, choose_official
from scripts.images.catalog import DEFAULTS, IMAGES, Image
from scripts.images.errors import ImageError
from scripts.images.push import push

__all__ = ["DEFAULTS", "IMAGES", "Image", "ImageError", "build", "choose_official", "push"]
