"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine() -> str:
    """Processor, the vector instructions that change figures most, and cores, in words."""
    name, flags = platform.processor() or platform.machine(), ""
    cpu = Path("/proc/cpuinfo")
    if cpu.is_file():
        lines = [line.split(":", 1) for line in cpu.read_text(encoding="utf-8").splitlines() if ":" in line]
        facts = {key.strip(): value.strip() for key, value in lines}
        name = facts.get("model name", name)
        has = facts.get("flags", "").split()
        known = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx512_bf16": "BF16"}
        flags = " ".join(word for flag, word in known.items() if flag in has)
    return f"{name}, {flags + ', ' if flags else ''}{os.cpu_count()} cores"
