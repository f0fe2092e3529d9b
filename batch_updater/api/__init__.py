"""Speaking to the order API."""
