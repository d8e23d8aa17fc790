"""Tables computed from rows: means over seeds, tests of pairs, the paper's table and claims."""
