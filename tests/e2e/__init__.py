"""The tests on a real cluster. `python -m tests.e2e` runs all of them."""

from tests.e2e.lanes import choose_namespace

choose_namespace()
