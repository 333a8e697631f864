"""Which files of a folder belong together: names with wildcards, splits, lists, groups."""
