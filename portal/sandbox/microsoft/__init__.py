"""The local Microsoft: a stand-in for Microsoft sign-in and mail by Graph, beside the local Google.

A separate small application, like the local Google; it imports nothing of the portal.
"""

from portal.sandbox.microsoft.app import create_local_microsoft
from portal.sandbox.microsoft.server import MicrosoftServer, serve
from portal.sandbox.microsoft.settings import MicrosoftSettings

__all__ = ["MicrosoftServer", "MicrosoftSettings", "create_local_microsoft", "serve"]
