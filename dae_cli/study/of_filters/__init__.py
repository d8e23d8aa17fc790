"""What a study on filters comes to: its summary, claims, figures and report."""
