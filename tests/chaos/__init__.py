"""The proof that nothing is lost, sent twice or sent early, whatever dies in between. README.md explains it."""
