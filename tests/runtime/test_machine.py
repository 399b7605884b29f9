"""What a processor can do, from its instruction sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwright.runtime.machine import Kernels, allowed, describe, kernels, quota_cores


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (["avx2"], Kernels("avx2", "none", "none", True, True, False)),
        (["avx2", "avx_vnni"], Kernels("vnni", "none", "none", False, True, False)),
        (
            ["avx2", "avx512f", "avx512_vnni", "avx512_bf16"],
            Kernels("vnni", "avx512", "none", False, True, True),
        ),
        (
            ["avx512f", "avx512_vnni", "amx_int8", "amx_bf16", "avx512_fp16"],
            Kernels("amx", "amx", "avx512", False, True, True),
        ),
        ([], Kernels("none", "none", "none", True, False, False)),
    ],
)
def test_kernels_follow_from_the_instruction_sets(flags: list[str], found: Kernels) -> None:
    assert kernels(flags) == found


def test_this_machines_kernels_are_those_of_its_flags() -> None:
    flags = describe()["flags"]
    assert isinstance(flags, list)
    assert kernels() == kernels(flags)


@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_instruction_sets_that_the_environment_forbids_are_not_told(name: str) -> None:
    flags = ["avx2", "avx512f", "avx512_vnni", "avx512_bf16"]
    assert allowed(flags, {name: "avx2"}) == ["avx2"]
    assert allowed(flags, {name: "AVX512_CORE_VNNI"}) == ["avx2", "avx512f", "avx512_vnni"]
    assert allowed(flags, {name: "DEFAULT"}) == allowed(flags, {}) == flags
    assert kernels(allowed(flags, {name: "AVX2"})).int8_saturates


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 0),
        ({"app.service/cpu.max": "400000 100000\n", "cpu.max": "max 100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0),
        ({"cpu.max": "what is this"}, 0),
        ({}, 0),
    ],
)
def test_a_containers_share_of_the_processors_is_known(
    files: dict[str, str], found: int, tmp_path: Path
) -> None:
    own = tmp_path / "proc" / "self" / "cgroup"
    own.parent.mkdir(parents=True)
    own.write_text("1:name=other:/\n0::/app.service\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert quota_cores(tmp_path) == found
