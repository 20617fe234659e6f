"""Hardware: what one GPU, or one core of a CPU, does in a second, for estimates before anything was measured.

Peaks and bandwidths are those of the vendors' data sheets, for dense matrices. What a training reaches of them is
assumed (`MATRIX_SHARE` and others), and is replaced by what the stages of a store needed (`calibrate.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

MATRIX_SHARE = 0.65
"""Assumed share of a GPU's peak that the matrix products of an encoder reach. The largest matrix products alone reach
0.75 to 0.8."""
MEMORY_SHARE = 0.8
"""Assumed share of the memory's bandwidth that element-wise operations reach."""
LINK_SHARE = 0.7
"""Assumed share of a link's bandwidth that NCCL's collectives reach."""
GPU_LAUNCH_SECONDS = 1e-5
"""Assumed seconds of the host for one operation on a GPU, with its share of PyTorch's and Python's overhead."""
CPU_LAUNCH_SECONDS = 1.2e-5
"""The same for an operation on a CPU, which no computation overlaps."""


@dataclass(frozen=True)
class Hardware:
    """One kind of GPU, or one core of a CPU.

    Attributes:
        name: as Ray names the type of an accelerator (`A100`), or `CPU`.
        peak: floating-point operations per second by precision of the arithmetic (bf16, fp32), without sparsity.
        bandwidth: bytes per second of its memory.
        link: bytes per second that it sends to another one of the same machine (NVLink, else PCI Express).
        memory: bytes of its memory; 0 if that is the machine's.
        source: where these figures come from.
    """

    name: str
    peak: Mapping[str, float]
    bandwidth: float
    link: float
    memory: float
    source: str

    @property
    def is_gpu(self) -> bool:
        return self.memory > 0


def _gpu(name: str, bf16: float, fp32: float, bandwidth: float, link: float, memory: float, source: str) -> Hardware:
    """An entry in TFLOP/s, GB/s and GB, as data sheets give them."""
    peak = {"bf16": bf16 * 1e12, "fp32": fp32 * 1e12}
    return Hardware(name, peak, bandwidth * 1e9, link * 1e9, memory * 1e9, f"NVIDIA's data sheet of the {source}")


HARDWARE: Mapping[str, Hardware] = {
    entry.name: entry
    for entry in (
        # The V100 has no tensor cores for bf16 and computes it as fp32.
        _gpu("V100", 15.7, 15.7, 900, 150, 16, "V100 SXM2 16 GB"),
        _gpu("A10G", 70, 35, 600, 32, 24, "A10, with the tensor performance that AWS gives for the A10G"),
        _gpu("L4", 121, 30.3, 300, 32, 24, "L4"),
        _gpu("L40S", 362, 91.6, 864, 32, 48, "L40S"),
        _gpu("A100", 312, 19.5, 1555, 300, 40, "A100 SXM4 40 GB"),
        _gpu("H100", 989, 67, 3350, 450, 80, "H100 SXM5 80 GB"),
        _gpu("H200", 989, 67, 4800, 450, 141, "H200 SXM"),
        Hardware("CPU", {"bf16": 8e10, "fp32": 8e10}, 8e9, 2e9, 0, "a core with AVX2 at 2.5 GHz, bandwidths assumed"),
    )
}
"""The table of kinds, by name."""

DEFAULT_GPU = "A100"
"""The kind that is assumed for GPUs of which nothing is known."""


def hardware_of(device: str) -> Hardware:
    """The entry of a device by the name that its driver reports, such as `NVIDIA A100-SXM4-40GB`.

    A device that is not in the table gets the figures of the default kind under its own name, so that what was
    measured on it is not taken for another kind.
    """
    words = device.upper().replace("-", " ").replace("_", " ").split()
    for name, entry in HARDWARE.items():
        if name in words:
            return entry
    default = HARDWARE[DEFAULT_GPU]
    return Hardware(device, default.peak, default.bandwidth, default.link, default.memory, "not in the table")
