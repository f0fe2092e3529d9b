"""How fast requests may leave: an even pace, pauses, the search for a limit, outages."""
