"""`make soak`: hours of work in minutes, and nothing may grow. README.md explains it."""
