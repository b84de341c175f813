"""Compiled inner loops of the ground estimator: polar minima, robust plane, height map walked outwards, heights."""

from __future__ import annotations

import math

import numpy as np

from emgait_ros.jit import njit

BUMP_SECTORS, BUMP_M = 6, 0.15
DIRECTIONS = 1440
BLOCK = 2048  # points
NO_GROUND = np.float32(1e9)


@njit(error_model="numpy", fastmath={"contract", "arcp", "nsz"})
def _polar(xs, ys, turn, distance):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Angle of each point from -180 degrees on (radians, error below 1e-4; a polynomial) and its range.

    Without branches and from one array for each coordinate, so that the compiler takes eight points at a time.
    """
    pi = np.float32(math.pi)
    for i in range(len(distance)):
        x, y = xs[i], ys[i]
        ax, ay = abs(x), abs(y)
        a = min(ax, ay) / max(ax, ay, np.float32(1e-20))
        s = a * a
        angle = ((np.float32(-0.0464964749) * s + np.float32(0.15931422)) * s - np.float32(0.327622764)) * s * a + a
        angle = np.float32(0.5 * math.pi) - angle if ay > ax else angle
        angle = pi - angle if x < 0 else angle
        turn[i] = pi - angle if y < 0 else pi + angle
        distance[i] = math.sqrt(x * x + y * y)


@njit(error_model="numpy")
def _coordinates(points, xs, ys, zs):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write x, y and z of the points, at most BLOCK, apart: what follows stays in the nearest cache."""
    for i in range(len(points)):
        xs[i], ys[i], zs[i] = points[i, 0], points[i, 1], points[i, 2]


@njit(error_model="numpy")
def _directions(turn, distance, zs, direction):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Direction of each point, of DIRECTIONS; -1: not finite."""
    fine, last = np.float32(DIRECTIONS / (2 * math.pi)), np.int32(DIRECTIONS - 1)
    for i in range(len(direction)):
        finite = (distance[i] < np.float32(1e4)) & (abs(zs[i]) < np.float32(1e4))  # false for NaN, too
        direction[i] = np.int16(min(np.int32(turn[i] * fine), last)) if finite else np.int16(-1)


@njit(error_model="numpy")
def _cells(turn, distance, zs, ring_of_step, min_range, max_range, sectors, cell):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Polar cell of each point; the number of cells for those that are out of range or not finite."""
    scale, rings = np.float32(sectors / (2 * math.pi)), np.int32(ring_of_step[-1] + 1)
    for i in range(len(cell)):
        inside = (distance[i] >= min_range) & (distance[i] < max_range) & (abs(zs[i]) < np.float32(1e4))
        sector = np.int32(turn[i] * scale) if inside else sectors
        sector = np.int32(0) if inside & (sector == sectors) else sector
        ring = ring_of_step[np.int32(distance[i] * np.float32(4.0))] if inside else np.int32(0)
        cell[i] = sector * rings + ring


@njit(error_model="numpy")
def polar_minima(points, ring_of_step, min_range, max_range, sectors, rings):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Polar cell, direction (of DIRECTIONS; -1: not finite) and range of every point, the lowest and the highest z per cell.

    Points that are out of range or not finite are in cell ``sectors * rings``, which is none.
    """
    count, none = len(points), sectors * rings
    cell, direction = np.empty(count, np.int32), np.empty(count, np.int16)
    distance = np.empty(count, np.float32)
    turn, xs, ys, zs = (
        np.empty(BLOCK, np.float32),
        np.empty(BLOCK, np.float32),
        np.empty(BLOCK, np.float32),
        np.empty(BLOCK, np.float32),
    )
    lowest, highest = np.full(none + 1, NO_GROUND, np.float32), np.full(none + 1, -NO_GROUND, np.float32)
    for begin in range(0, count, BLOCK):
        end = min(begin + BLOCK, count)
        r = distance[begin:end]
        _coordinates(points[begin:end], xs, ys, zs)
        _polar(xs, ys, turn, r)
        _directions(turn, r, zs, direction[begin:end])
        _cells(turn, r, zs, ring_of_step, min_range, max_range, np.int32(sectors), cell[begin:end])
        for i in range(begin, end):
            k, z = cell[i], zs[i - begin]
            lowest[k], highest[k] = min(lowest[k], z), max(highest[k], z)
    return cell, direction, distance, lowest[:none], highest[:none]


@njit(error_model="numpy")
def plane_ransac(x, y, z, height_guess, triples, max_tilt):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Plane with most candidates on it and few below it; then least squares over those on it."""
    count = len(x)
    best, best_score = np.array([0.0, 0.0, np.median(z)]), -1e18
    for i, j, k in triples:
        ux, uy, uz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
        vx, vy, vz = x[k] - x[i], y[k] - y[i], z[k] - z[i]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        if abs(nz) < 1e-6:
            continue
        a, b = -nx / nz, -ny / nz
        if a * a + b * b > max_tilt * max_tilt:
            continue
        c = z[i] - a * x[i] - b * y[i]
        if height_guess < 0.0 and abs(c - height_guess) > 0.4:
            continue
        on = 0
        below = 0
        for m in range(count):
            error = z[m] - (a * x[m] + b * y[m] + c)
            on += abs(error) < 0.12
            below += error < -0.3
        score = on - 2.0 * below - 0.1 * count * (a * a + b * b)
        if score > best_score:
            best_score = score
            best = np.array([a, b, c])
    if best_score == -1e18:
        return np.array([0.0, 0.0, height_guess if height_guess < 0.0 else np.min(z)])
    for _ in range(3):
        on = np.abs(z - (best[0] * x + best[1] * y + best[2])) < 0.12
        if on.sum() < 6:
            break
        px, py, pz = x[on], y[on], z[on]
        mx, my, mz = px.mean(), py.mean(), pz.mean()
        sxx, syy, sxy = ((px - mx) ** 2).sum(), ((py - my) ** 2).sum(), ((px - mx) * (py - my)).sum()
        sxz, syz = ((px - mx) * (pz - mz)).sum(), ((py - my) * (pz - mz)).sum()
        determinant = sxx * syy - sxy * sxy
        if determinant < 1e-3:
            break
        a = (sxz * syy - syz * sxy) / determinant
        b = (syz * sxx - sxz * sxy) / determinant
        if a * a + b * b > max_tilt * max_tilt:
            break
        best = np.array([a, b, mz - a * mx - b * my])
    return best


@njit(error_model="numpy")
def walk_outwards(residual, upright, centers, edges, max_slope, max_step):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """(sectors, rings) float32 ground over the plane: accepted candidates, holes filled, smoothed over sectors.

    ``upright`` (sectors, rings): cells with something that stands. Its lowest return beyond a hole is where the shadow of
    something nearer ends, not its foot: it is ground only at the height that was there before.
    """
    sectors, rings = residual.shape
    missing = np.float32(1e6)
    ground = np.full((sectors, rings), missing, np.float32)
    for s in range(sectors):
        last, last_range = 0.0, 0.0
        for k in range(rings):
            candidate = residual[s, k]
            gap = centers[k] - last_range
            reach = max_step + max_slope * min(gap, 12.0)
            if upright[s, k] and candidate > last and gap > 1.5 * (centers[k] - centers[k - 1]):
                reach = max_step
            if candidate < 1e6 and abs(candidate - last) <= reach:
                ground[s, k] = candidate
                last, last_range = candidate, centers[k]
    _drop_bumps(ground, missing)
    filled = np.empty_like(ground)
    for s in range(sectors):
        previous = -1
        for k in range(rings):
            if ground[s, k] == missing:
                filled[s, k] = missing
                continue
            filled[s, k] = ground[s, k]
            if previous >= 0:
                for m in range(previous + 1, k):
                    part = (centers[m] - centers[previous]) / (centers[k] - centers[previous])
                    filled[s, m] = ground[s, previous] * (1 - part) + ground[s, k] * part
            else:
                for m in range(k):
                    filled[s, m] = ground[s, k] * centers[m] / centers[k]
            previous = k
        for m in range(previous + 1, rings):
            filled[s, m] = missing
    return _smoothed(filled, missing)


@njit(error_model="numpy")
def median_of_few(values, count):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Middle of the first ``count`` values, which are sorted in place: much faster than np.median on a handful."""
    for i in range(1, count):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value
    if count % 2 == 1:
        return values[count // 2]
    return (values[count // 2 - 1] + values[count // 2]) * np.float32(0.5)


@njit(error_model="numpy")
def _drop_bumps(ground, missing):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Drop candidates that stand out from their neighbors on both sides: sills, car bodies, bushes."""
    sectors, rings = ground.shape
    original = ground.copy()
    least = original.copy()  # of the window: what is not above that by so much is not above the middle either
    for d in range(1, BUMP_SECTORS + 1):
        for s in range(sectors):
            least[s] = np.minimum(least[s], np.minimum(original[(s + d) % sectors], original[(s - d) % sectors]))
    window = np.empty(2 * BUMP_SECTORS + 1, np.float32)
    for s in range(sectors):
        for k in range(rings):
            if original[s, k] == missing or original[s, k] - least[s, k] <= BUMP_M:
                continue
            count = 0
            for d in range(-BUMP_SECTORS, BUMP_SECTORS + 1):
                value = original[(s + d) % sectors, k]
                if value != missing:
                    window[count] = value
                    count += 1
            if original[s, k] - median_of_few(window, count) > BUMP_M:
                ground[s, k] = missing


@njit(error_model="numpy")
def _smoothed(filled, missing):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Median over neighboring sectors; where none of them reaches, the last height inwards goes on."""
    sectors, rings = filled.shape
    out = np.empty_like(filled)
    window = np.empty(7, np.float32)
    for s in range(sectors):
        for k in range(rings):
            count = 0
            reach = 1
            while reach <= 3 and count < 3:
                count = 0
                for d in range(-reach, reach + 1):
                    value = filled[(s + d) % sectors, k]
                    if value != missing:
                        window[count] = value
                        count += 1
                reach += 1
            if count == 0:
                out[s, k] = out[s, k - 1] if k > 0 else np.float32(0.0)
            else:
                out[s, k] = median_of_few(window, count)
    return out


@njit(error_model="numpy", fastmath={"contract"})
def heights_over(points, cell, distance, plane, offset, centers):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """(N,) float32 height over the ground, linear between ring centers; ``NO_GROUND`` for points in no cell.

    The ground over the plane is ``start + rise * r`` in each half of a cell: a table, so that no point needs a branch.
    """
    sectors, rings = offset.shape
    start, rise = np.zeros(2 * offset.size + 2, np.float32), np.zeros(2 * offset.size + 2, np.float32)
    middle = np.zeros(offset.size + 1, np.float32)
    for s in range(sectors):
        for k in range(rings):
            n = s * rings + k
            middle[n] = centers[k]
            for half in range(2):
                near = k - 1 + half
                if near < 0 or near >= rings - 1:
                    start[2 * n + half] = offset[s, k]
                else:
                    slope = (offset[s, near + 1] - offset[s, near]) / (centers[near + 1] - centers[near])
                    start[2 * n + half], rise[2 * n + half] = offset[s, near] - slope * centers[near], slope
    out = np.empty(len(points), np.float32)
    a, b, c = np.float32(plane[0]), np.float32(plane[1]), np.float32(plane[2])
    none = np.int32(offset.size)
    xs, ys, zs = np.empty((3, BLOCK), np.float32)
    for begin in range(0, len(points), BLOCK):
        end = min(begin + BLOCK, len(points))
        _coordinates(points[begin:end], xs, ys, zs)
        for i in range(begin, end):
            n, r, m = cell[i], distance[i], i - begin
            half = 2 * n + np.int32(r >= middle[n])
            height = zs[m] - (a * xs[m] + b * ys[m] + c + (start[half] + rise[half] * r))
            out[i] = NO_GROUND if n == none else height
    return out
