"""`make limits`: what hostile producers, a hostile Twilio and hostile callers cost everybody else. README.md explains it."""
