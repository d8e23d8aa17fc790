"""Users' own data sets: their declarations, their files and the content read from them."""
