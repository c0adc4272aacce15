"""Published: what a domain says in the DNS about who may send for it, and what follows from that.

The judging is pure: answers in, findings out. Where it lacks an answer it names the question, and
asking.py puts all questions of a round at once until none is left.
"""
