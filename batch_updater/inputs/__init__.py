"""Reading sheets: the only place that imports pandas."""
