"""The providers that carry mail. Each speaks one API and answers in the envelope's words."""

from portal.providers.gmail import Gmail

PROVIDERS = {"gmail": Gmail}

__all__ = ["PROVIDERS", "Gmail"]
