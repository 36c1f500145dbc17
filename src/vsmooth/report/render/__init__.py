"""Tables and sections as terminal output, HTML and Markdown."""
