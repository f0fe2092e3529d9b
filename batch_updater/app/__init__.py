"""The use cases, as a terminal, a browser and a Python program call them."""
