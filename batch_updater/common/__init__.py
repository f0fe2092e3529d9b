"""What all rooms share: types, errors, settings, text, log."""
