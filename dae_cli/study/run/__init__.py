"""One run: its folder, from start or checkpoint to the end, its row, and counting it again."""
