"""DAGs in every mode for hours, while parts of the release and of its node break: `make soak`."""
