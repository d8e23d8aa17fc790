"""Proof of what a regenerated set is: its statistics and its difficulty beside the genuine."""
