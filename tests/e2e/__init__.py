"""The tests on a real cluster. `python -m tests.e2e` runs all of them."""
