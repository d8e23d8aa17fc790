"""From rows to tables: means over seeds, tests between models, the paper's table and claims."""
