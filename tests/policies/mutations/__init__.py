"""A library of weakenings, each applied at every place of a release where it fits.

A mutator changes one plain dict in place (a container, pod, pod template or object) and says whether that
weakened it: False where it does not fit, because the thing is not there, or is as weak already.

registry    the tables of mutators, and what they are made of
containers, pods, rights, network, configuration    the mutators
places      where they fit
"""

from tests.policies.mutations import configuration, containers, network, pods, rights
from tests.policies.mutations.places import Mutant, alone, mutants, together
from tests.policies.mutations.registry import CONTAINERS, NETWORK, OBJECTS, PODS, TEMPLATES, WIDE

__all__ = [
    "CONTAINERS",
    "NETWORK",
    "OBJECTS",
    "PODS",
    "TEMPLATES",
    "WIDE",
    "Mutant",
    "alone",
    "configuration",
    "containers",
    "mutants",
    "network",
    "pods",
    "rights",
    "together",
]
