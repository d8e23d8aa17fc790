"""A single run: its folder, training it from the start or a checkpoint, and its row."""
