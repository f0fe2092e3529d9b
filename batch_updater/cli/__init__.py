"""The terminal: options, questions, progress, summaries. It holds no rule of its own."""
