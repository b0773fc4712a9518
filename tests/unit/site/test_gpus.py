"""What is made of nvidia-smi's answer and of the driver's own files: which node and which name a GPU has."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

Plugin = Callable[[str], ModuleType]

# Two GPUs whose device nodes are counted the other way round than nvidia-smi counts.
ROWS = """\
0, GPU-6a1c9b5e-0000-4a51-9d47-52b6a0a3c1de, 00000000:17:00.0, 550.54.15, 24564
1, GPU-7b2d0c6f-0000-4a51-9d47-52b6a0a3c1de, 00000000:CA:00.0, 550.54.15, 24564
"""
FILES = [
    f"Model: \t\t NVIDIA L4\nBus Type: \t PCIe\nBus Location: \t 0000:{bus}:00.0\nDevice Minor: \t {minor}\n"
    for bus, minor in (("ca", 0), ("17", 1))
]


def test_a_gpu_is_told_with_its_own_node_and_name(plugin: Plugin) -> None:
    module = plugin("modules/nvidia_gpus")
    gpus = module.told(ROWS, module.minors(FILES))
    assert gpus["0"] == {
        "uuid": "GPU-6a1c9b5e-0000-4a51-9d47-52b6a0a3c1de",
        "minor": 1,
        "driver": "550.54.15",
        "memory_mb": 24564,
    }
    assert gpus["1"]["minor"] == 0


def test_where_the_driver_tells_no_minors_they_are_the_indices(plugin: Plugin) -> None:
    module = plugin("modules/nvidia_gpus")
    gpus = module.told(ROWS, module.minors([]))
    assert [gpus[index]["minor"] for index in ("0", "1")] == [0, 1]


def test_an_answer_that_is_none_tells_of_no_gpu(plugin: Plugin) -> None:
    assert plugin("modules/nvidia_gpus").told("No devices were found\n", {}) == {}
