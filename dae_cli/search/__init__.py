"""Selection on validation rows: trials of searched settings, shared through optuna's storage."""
