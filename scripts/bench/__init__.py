"""The measured claims of the README, each as a ratio against its baseline in one run.

python -m scripts.bench     # all of them, on the release that `make up` installed
"""
