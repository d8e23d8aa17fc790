"""Pages of HTML that stand alone: what they show, charts, templates; not where numbers are from."""
