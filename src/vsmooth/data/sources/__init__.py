"""Sources of data sets: names, folders, tables, the Hub."""
