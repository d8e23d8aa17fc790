"""Selection on validation rows: trials of searched settings, shared through their folder."""
