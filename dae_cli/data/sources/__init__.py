"""Sources: where the original files come from (the user's folders, the download)."""
