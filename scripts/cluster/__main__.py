"""``python -m scripts.cluster up|down|status``."""
