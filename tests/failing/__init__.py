"""Each allocation on an event's way fails in turn. README.md explains it."""
