"""The contract's gRPC service config, as this runtime can keep it."""

import json
from importlib import resources


def _load() -> tuple[str, float]:
    """Splits the service config into what the channel keeps, and the timeout in seconds.

    The timeout has to become a deadline of each call. gRPC's core would keep it on this side only,
    and a second early: the gateway would not know when to answer, and the Outcome of a purchase
    that takes too long would be lost.
    """
    # A test keeps this copy equal to the contract's.
    text = resources.files("gigagate").joinpath("service_config.json").read_text("utf-8")
    service_config = json.loads(text)
    (method_config,) = service_config["methodConfig"]
    timeout = method_config.pop("timeout")
    return json.dumps(service_config), float(timeout.removesuffix("s"))


_SERVICE_CONFIG, _TIMEOUT = _load()

CHANNEL_OPTIONS = (("grpc.enable_retries", 1), ("grpc.service_config", _SERVICE_CONFIG))


def bounded(timeout: float | None) -> float:
    """Returns the policy's timeout, or that of the call where it is shorter."""
    return _TIMEOUT if timeout is None else min(timeout, _TIMEOUT)
