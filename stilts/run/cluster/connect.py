"""Read the resources of a running Ray cluster."""

import ray


def resources_of(address: str) -> dict[str, float]:
    """Return the total resources of the cluster at an address, by name (`CPU`, `GPU`, `memory` in bytes, ...).

    Raises:
        ConnectionError: no cluster answers there.
    """
    ray.init(address=address, log_to_driver=False)
    try:
        return dict(ray.cluster_resources())
    finally:
        ray.shutdown()
