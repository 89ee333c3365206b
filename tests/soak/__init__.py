"""Hours of DAGs in every mode, with a fault each minute: `make soak`."""
