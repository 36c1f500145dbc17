"""Where data sets come from: names, folders, tables, the Hub."""
