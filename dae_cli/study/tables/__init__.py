"""From rows to tables: means over seeds, tests between models, the paper's numbers and claims."""
