"""`make bench`. README.md explains it."""
