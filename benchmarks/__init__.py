"""What is measured, against whom, and how the pages that tell it are written."""
