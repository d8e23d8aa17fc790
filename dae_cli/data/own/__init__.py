"""Data sets of the user's own: their declaration, their files, and what becomes of them."""
