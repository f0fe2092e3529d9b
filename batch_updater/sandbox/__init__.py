"""A local order service with switchable faults, and the demo that runs on it."""
