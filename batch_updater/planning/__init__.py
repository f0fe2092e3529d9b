"""From rows to a plan: validate each row, ask the service for statuses and names, write the plan."""
