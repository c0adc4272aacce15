"""The local Google: a stand-in for Google sign-in and Gmail, to try Sendwright without either.

A separate small application. It is never mounted in the portal and imports nothing of it.
"""

from portal.sandbox.app import create_sandbox
from portal.sandbox.settings import SandboxSettings

__all__ = ["SandboxSettings", "create_sandbox"]
