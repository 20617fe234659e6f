"""Ask a running Ray cluster what it has."""

import ray


def resources_of(address: str) -> dict[str, float]:
    """Total resources of the cluster at an address, by name (`CPU`, `GPU`, `memory` in bytes, ...).

    Raises:
        ConnectionError: nothing answers there.
    """
    ray.init(address=address, log_to_driver=False)
    try:
        return dict(ray.cluster_resources())
    finally:
        ray.shutdown()
