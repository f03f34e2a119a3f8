"""Running code that nobody has read: a process with few rights, and what it may say."""

from companion.code.sandbox.sandbox import Limits, Outcome, Sandbox, SandboxUnavailable

__all__ = ["Limits", "Outcome", "Sandbox", "SandboxUnavailable"]
