"""Print what the administrator of another cluster applies for a cluster of tasks.clusters.

The objects are those of the chart's task namespace: namespace, account, Roles, admission policies, quota,
limits and NetworkPolicies. The comments before them are the commands that write and store the kubeconfig.

Exit code: 0 done, 2 the values cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import yaml

from scripts.chart import KUBE_VERSIONS, ManifestError, RenderError
from scripts.lint.inputs import InputError, merged_values, sentence
from scripts.other_cluster.objects import Access, Place, access
from scripts.tools import ToolError

_RECIPE = """\
# tasks.clusters.{cluster} of Airdock release {release} in namespace {namespace}.
# The administrator of the other cluster applies this file, and writes the kubeconfig with these commands:
#
#   get() {{ kubectl -n {home} get secret {token} -o jsonpath="{{.data.$1}}" | base64 -d; }}
#   get 'ca\\.crt' > {cluster}-ca.crt
#   server=$(kubectl config view --minify -o jsonpath='{{.clusters[0].cluster.server}}')
#   kubectl config --kubeconfig={cluster}.kubeconfig set-cluster {cluster} --server="$server" \\
#     --certificate-authority={cluster}-ca.crt --embed-certs
#   kubectl config --kubeconfig={cluster}.kubeconfig set-credentials airdock --token="$(get token)"
#   kubectl config --kubeconfig={cluster}.kubeconfig set-context {cluster} --cluster={cluster} \\
#     --user=airdock --namespace={tasks}
#   kubectl config --kubeconfig={cluster}.kubeconfig use-context {cluster}
#
# The administrator of the release stores it:
#
#   kubectl -n {namespace} create secret generic {secret} --from-file={key}={cluster}.kubeconfig
"""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m scripts.other_cluster") -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cluster", help="its name in tasks.clusters")
    parser.add_argument(
        "-f", "--values", action="extend", nargs="+", default=[], metavar="FILE", help="later files win"
    )
    parser.add_argument("--namespace", "-n", default="airdock", help="of the release; default: %(default)s")
    parser.add_argument("--release", default="airdock", help="default: %(default)s")
    parser.add_argument(
        "--kube-version", default=KUBE_VERSIONS[-1], metavar="X.Y", help="of the other cluster"
    )
    options = parser.parse_args(arguments)
    place = Place(options.release, options.namespace, options.cluster, options.kube_version)
    try:
        values = merged_values(options.values)
        found = access(values, place)
    except (InputError, RenderError, ManifestError, ToolError) as error:
        print(f"rbac-for-cluster: {sentence(str(error))}", file=sys.stderr)
        return 2
    print(f"{_recipe(found, place, values)}---")
    print(yaml.safe_dump_all(found.objects, sort_keys=False, width=1000), end="")
    return 0


def _recipe(found: Access, place: Place, values: dict[str, object]) -> str:
    return _RECIPE.format(
        cluster=place.cluster,
        release=place.release,
        namespace=place.namespace,
        home=found.home,
        token=found.token,
        tasks=found.namespaces[0],
        secret=found.secret,
        key=found.key,
    )


if __name__ == "__main__":
    sys.exit(main())
