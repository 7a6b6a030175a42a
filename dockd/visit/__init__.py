"""One recorder in one bay, from plug-in to removal: ``visit.story`` tells it from top to bottom."""
