"""The networks of the four studies, one file each."""
