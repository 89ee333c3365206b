"""What the administrator of another cluster applies for `tasks.clusters`, from the chart's own templates."""
