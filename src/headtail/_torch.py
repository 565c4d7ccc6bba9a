"""Imported first by whatever needs PyTorch, so that there is one clear error where it is missing."""

from importlib.util import find_spec

from headtail.exceptions import NotAvailableError

if find_spec("torch") is None or find_spec("safetensors") is None:
    raise NotAvailableError("This part of headtail needs PyTorch. Install it with: pip install 'headtail[torch]'")
