"""The local mail server: stands in for any provider's SMTP submission on one machine.

It speaks TLS and STARTTLS with a certificate of its own, knows some accounts with passwords, keeps
a list of what it accepted, and can be told what to do wrong. It imports nothing of the portal.
"""

from portal.sandbox.post.server import Post

__all__ = ["Post"]
