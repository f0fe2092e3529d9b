"""From rows to a plan: judge each row, ask the service what it knows, write the plan."""
