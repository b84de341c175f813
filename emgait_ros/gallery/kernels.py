"""Compiled inner loops of the template index: integer distance estimates of many templates at once, and exact ones of few.

Sixteen templates lie side by side in one vector register and eight probes share each load. With AVX-512 VNNI a single
instruction multiplies and adds 64 bytes; every other processor runs the same loop in float32 (integers below 2^24: as
exact). The layout of a block is (parts, d / 4, 16 templates, 4 values) unsigned bytes, 128 standing for zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from emgait_ros.jit import njit

LANES = 16
"""Templates in one block."""
PROBES = 8
"""Probes that share one pass; fewer are filled up with zeros."""
ZERO = 128
"""The byte that stands for 0."""
_GROUP = 4  # values a lane holds at a time
_SPAN = 64  # templates looked at together when few of them can matter

_I8, _I32, _I64, _F32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
_INTS, _FLOATS = ir.VectorType(_I32, LANES), ir.VectorType(_F32, LANES)


def has_vnni() -> bool:
    """Whether numba compiles for this very processor and it multiplies bytes in AVX-512 registers."""
    config = numba.config
    own = config.CPU_NAME in (None, "") and config.CPU_FEATURES in (None, "")  # type: ignore[attr-defined]
    return bool(own and llvmlite.binding.get_host_cpu_features().get("avx512vnni", False))


def _splat(builder: Any, value: Any, vector: ir.VectorType) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(undefined, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES))


def _load(builder: Any, address: Any, offset: Any, kind: Any) -> Any:
    return builder.load(builder.inttoptr(builder.add(address, offset), kind.as_pointer()), align=1)


def _bytes_dot(builder: Any, templates: Any, probes: Any, stride: Any, groups: Any) -> list[Any]:
    """Dot products by vpdpbusd; probes are int8, ``stride`` bytes from one to the next."""
    step = builder.module.declare_intrinsic(
        "llvm.x86.avx512.vpdpbusd.512", (), ir.FunctionType(_INTS, [_INTS, _INTS, _INTS])
    )
    sums = [cgutils.alloca_once_value(builder, ir.Constant(_INTS, [0] * LANES)) for _ in range(PROBES)]
    for slot in sums:
        builder.store(ir.Constant(_INTS, [0] * LANES), slot)
    with cgutils.for_range(builder, groups) as loop:
        values = _load(builder, templates, builder.mul(loop.index, ir.Constant(_I64, LANES * _GROUP)), _INTS)
        inner = builder.mul(loop.index, ir.Constant(_I64, _GROUP))
        for number, slot in enumerate(sums):
            place = builder.add(inner, builder.mul(stride, ir.Constant(_I64, number)))
            four = _splat(builder, _load(builder, probes, place, _I32), _INTS)
            builder.store(builder.call(step, [builder.load(slot), values, four]), slot)
    return [builder.sitofp(builder.load(slot), _FLOATS) for slot in sums]


def _float_dot(builder: Any, templates: Any, probes: Any, stride: Any, groups: Any) -> list[Any]:
    """The same with float32 probes and fused multiply-adds."""
    fma = builder.module.declare_intrinsic("llvm.fma.v16f32", (), ir.FunctionType(_FLOATS, [_FLOATS] * 3))
    sums = [cgutils.alloca_once_value(builder, ir.Constant(_FLOATS, [0.0] * LANES)) for _ in range(PROBES)]
    for slot in sums:
        builder.store(ir.Constant(_FLOATS, [0.0] * LANES), slot)
    low_byte = ir.Constant(_INTS, [255] * LANES)
    with cgutils.for_range(builder, groups) as loop:
        packed = _load(builder, templates, builder.mul(loop.index, ir.Constant(_I64, LANES * _GROUP)), _INTS)
        inner = builder.mul(loop.index, ir.Constant(_I64, 4 * _GROUP))
        for k in range(_GROUP):
            byte = builder.and_(builder.lshr(packed, ir.Constant(_INTS, [8 * k] * LANES)), low_byte)
            values = builder.sitofp(byte, _FLOATS)
            for number, slot in enumerate(sums):
                place = builder.add(inner, builder.mul(stride, ir.Constant(_I64, number)))
                one = _splat(
                    builder, _load(builder, probes, builder.add(place, ir.Constant(_I64, 4 * k)), _F32), _FLOATS
                )
                builder.store(builder.call(fma, [values, one, builder.load(slot)]), slot)
    return [builder.load(slot) for slot in sums]


def _root(builder: Any, squared: Any) -> Any:
    """Square root, exactly rounded."""
    root = builder.module.declare_intrinsic("llvm.sqrt.v16f32", (), ir.FunctionType(_FLOATS, [_FLOATS]))
    return builder.call(root, [squared])


def _quick_root(builder: Any, squared: Any) -> Any:
    """Square root to 2^-14 of its value by vrsqrt14ps, which takes a fraction of the time; not of zero."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS, _FLOATS, ir.IntType(16)])
    inverse = builder.module.declare_intrinsic("llvm.x86.avx512.rsqrt14.ps.512", (), kind)
    all_lanes = ir.Constant(ir.IntType(16), -1)
    return builder.fmul(squared, builder.call(inverse, [squared, squared, all_lanes]))


def _tile_of(dot: Callable[..., list[Any]], square_root: Callable[[Any, Any], Any]) -> Any:
    """An intrinsic that adds the distances of one part, of one block to eight probes, to ``totals``."""

    @intrinsic
    def tile(typingctx, templates, scale, norm, probes, stride, groups, terms, terms_stride, totals):  # type: ignore[no-untyped-def]
        """All arguments are addresses or counts (intp); ``terms`` is (8, .., 3) float32: offset, factor and norm of a probe."""
        signature = types.void(*[types.intp] * 9)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            templates, scale, norm, probes, stride, groups, terms, terms_stride, totals = arguments
            nothing = ir.Constant(_I64, 0)
            scales, norms = (_load(builder, address, nothing, _FLOATS) for address in (scale, norm))
            tiny = ir.Constant(_FLOATS, [1e-30] * LANES)
            for number, product in enumerate(dot(builder, templates, probes, stride, groups)):
                base = builder.mul(terms_stride, ir.Constant(_I64, number))
                offset, factor, probe_norm = (
                    _splat(builder, _load(builder, terms, builder.add(base, ir.Constant(_I64, 4 * k)), _F32), _FLOATS)
                    for k in range(3)
                )
                twice = builder.fmul(builder.fmul(builder.fadd(product, offset), factor), scales)
                squared = builder.fsub(builder.fadd(norms, probe_norm), twice)
                squared = builder.select(builder.fcmp_ordered(">", squared, tiny), squared, tiny)
                slot = builder.inttoptr(
                    builder.add(totals, ir.Constant(_I64, 4 * LANES * number)), _FLOATS.as_pointer()
                )
                total = builder.fadd(builder.load(slot, align=4), square_root(builder, squared))
                builder.store(total, slot, align=4)
            return context.get_dummy_value()

        return signature, generate

    return tile


_bytes_tile, _float_tile = _tile_of(_bytes_dot, _quick_root), _tile_of(_float_dot, _root)


@njit(nogil=True)
def estimate_bytes(high, scale, norm, probes, terms, first, out):  # type: ignore[no-untyped-def]
    """Mean over parts of L2 between rounded templates and rounded probes.

    Args:
        high: (blocks, parts, groups, 16, 4) uint8. scale, norm: (blocks, parts, 16) float32, value of a step and squared
            length of the rounded template.
        probes: (8, parts, 4 groups) int8. terms: (8, parts, 3) float32: -128 times the probe's sum, twice its step, and
            the squared length of the rounded probe.
        first: column of ``out`` the first template goes to. out: (8, >= first + 16 blocks) float32, overwritten.
    """
    blocks, parts, groups = high.shape[0], high.shape[1], high.shape[2]
    totals = np.empty((PROBES, LANES), np.float32)
    share = np.float32(1.0 / parts)
    for block in range(blocks):
        totals[:] = 0.0
        for part in range(parts):
            row = block * parts + part
            _bytes_tile(
                high.ctypes.data + row * groups * 64,
                scale.ctypes.data + row * 64,
                norm.ctypes.data + row * 64,
                probes.ctypes.data + part * groups * 4,
                parts * groups * 4,
                groups,
                terms.ctypes.data + part * 12,
                parts * 12,
                totals.ctypes.data,
            )
        start = first + block * LANES
        for probe in range(PROBES):
            for lane in range(LANES):  # a slice would allocate
                out[probe, start + lane] = totals[probe, lane] * share


@njit(nogil=True)
def estimate_floats(high, scale, norm, probes, terms, first, out):  # type: ignore[no-untyped-def]
    """As :func:`estimate_bytes`, with the rounded probes as float32."""
    blocks, parts, groups = high.shape[0], high.shape[1], high.shape[2]
    totals = np.empty((PROBES, LANES), np.float32)
    share = np.float32(1.0 / parts)
    for block in range(blocks):
        totals[:] = 0.0
        for part in range(parts):
            row = block * parts + part
            _float_tile(
                high.ctypes.data + row * groups * 64,
                scale.ctypes.data + row * 64,
                norm.ctypes.data + row * 64,
                probes.ctypes.data + part * groups * 16,
                parts * groups * 16,
                groups,
                terms.ctypes.data + part * 12,
                parts * 12,
                totals.ctypes.data,
            )
        start = first + block * LANES
        for probe in range(PROBES):
            for lane in range(LANES):  # a slice would allocate
                out[probe, start + lane] = totals[probe, lane] * share


@njit(nogil=True, fastmath={"reassoc", "contract"})
def exact(high, low, scale, probes, which, rows, out):  # type: ignore[no-untyped-def]
    """Mean over parts of L2 of pairs, from both bytes of the templates.

    Args:
        high, scale: as above. low: (16 blocks, parts, 4 groups) int8, 1/256 steps.
        probes: (B, parts, 4 groups) float32.
        which, rows: (n,) int64, probe and template of each pair; a template is decoded once for pairs that follow each other.
        out: (n,) float32.
    """
    parts, groups = high.shape[1], high.shape[2]
    template = np.empty((parts, 4 * groups), np.float32)
    decoded = -1
    for pair in range(len(rows)):
        row = rows[pair]
        if row != decoded:
            block, lane = row // LANES, row % LANES
            for part in range(parts):
                step = scale[block, part, lane]
                for group in range(groups):
                    for k in range(4):
                        coarse = np.float32(np.int32(high[block, part, group, lane, k]) - ZERO)
                        fine = np.float32(low[row, part, 4 * group + k]) * np.float32(1.0 / 256.0)
                        template[part, 4 * group + k] = step * (coarse + fine)
            decoded = row
        probe = probes[which[pair]]
        total = 0.0
        for part in range(parts):
            squared = np.float32(0.0)
            for value in range(4 * groups):
                difference = probe[part, value] - template[part, value]
                squared += difference * difference
            total += np.sqrt(squared)
        out[pair] = total / parts


@njit(nogil=True)
def least(estimate, count):  # type: ignore[no-untyped-def]
    """Rows of the ``count`` smallest of (N,) estimates: (count,) int64, smallest first; count is at most N."""
    best = np.full(count, np.inf, np.float32)
    rows = np.zeros(count, np.int64)
    for start in range(0, len(estimate), _SPAN):
        span, limit, hits = estimate[start : start + _SPAN], best[count - 1], 0
        for value in span:  # without a branch, so that it runs in vector registers
            hits += value < limit
        if not hits:
            continue
        for offset in range(len(span)):
            value = span[offset]
            if value < best[count - 1]:
                place = count - 1
                while place > 0 and best[place - 1] > value:
                    best[place], rows[place] = best[place - 1], rows[place - 1]
                    place -= 1
                best[place], rows[place] = value, start + offset
    return rows


@njit(nogil=True)
def within(estimate, slack, limit):  # type: ignore[no-untyped-def]
    """Templates whose estimate - slack is at most ``limit``: (n,) int64, ascending."""
    found = np.empty(64, np.int64)
    count = 0
    for start in range(0, len(estimate), _SPAN):
        values, widths, hits = estimate[start : start + _SPAN], slack[start : start + _SPAN], 0
        for offset in range(len(values)):
            hits += values[offset] - widths[offset] <= limit
        if not hits:
            continue
        if count + _SPAN > len(found):
            wider = np.empty(2 * len(found) + _SPAN, np.int64)
            wider[:count] = found[:count]
            found = wider
        for offset in range(len(values)):
            if values[offset] - widths[offset] <= limit:
                found[count] = start + offset
                count += 1
    return found[:count].copy()


@njit(nogil=True)
def scores_of_groups(distance, starts, modalities, wanted, nearest):  # type: ignore[no-untyped-def]
    """Distances to people: the mean of the ``nearest`` smallest distances of each group (fewer: of those).

    Templates of the wanted sensors count; where a group has none, all do.

    Args:
        distance: (n,) float32, group by group. starts: (G + 1,) int64, where each begins. modalities: (n,) int64.
        wanted: (G,) int64, sensors of the probe each group is compared with.

    Returns:
        (G,) float32, inf for an empty group; (G,) bool, whether there are templates of the wanted sensors.
    """
    groups = len(starts) - 1
    found, same = np.empty(groups, np.float32), np.zeros(groups, np.bool_)
    best = np.empty(nearest, np.float32)
    for group in range(groups):
        for row in range(starts[group], starts[group + 1]):
            if modalities[row] == wanted[group]:
                same[group] = True
        count = 0
        for row in range(starts[group], starts[group + 1]):
            if same[group] and modalities[row] != wanted[group]:
                continue
            value = distance[row]
            if count < nearest:
                place = count
                count += 1
            elif value < best[count - 1]:
                place = count - 1
            else:
                continue
            while place > 0 and best[place - 1] > value:
                best[place] = best[place - 1]
                place -= 1
            best[place] = value
        total = 0.0
        for place in range(count):
            total += best[place]
        found[group] = total / count if count else np.inf
    return found, same
