"""Make the demo product photographs (all of them, from nothing).

Every picture in ``manifests/images`` is a small 3-D scene that is modelled,
lit and rendered by this script; no photograph, texture or model is loaded.

Regenerate everything, from the root of the checkout, with one command::

    python -m pip install "bpy==5.0.1" && python docs/demo-pictures/scenes.py

(`bpy` is Blender as a Python module; version 5.0.1 wants Python 3.11.)  It
takes about a quarter of an hour on two idle cores.  Useful variations::

    python docs/demo-pictures/scenes.py mug teapot            # only these
    python docs/demo-pictures/scenes.py --draft --out drafts  # small and fast
    python docs/demo-pictures/scenes.py --list                # names and sizes

One unit is ten centimetres, except in the watch and the fabric swatch, which
are close-ups with a scale of their own.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from math import cos, pi, radians, sin
from pathlib import Path

import bpy  # isort: skip  (bpy comes first: the next two live inside it)
import bmesh
from mathutils import Matrix, Vector

ROOT = Path(__file__).resolve().parents[2]
PICTURES: dict[str, tuple[int, int, int, int, object]] = {}


def picture(name: str, width: int, height: int, samples: int = 28, kilobytes: int = 118):
    """Register a scene function as the picture ``name``.jpg."""

    def register(build):
        PICTURES[name] = (width, height, samples, kilobytes, build)
        return build

    return register


# --------------------------------------------------------------------------
# Curves and profiles
# --------------------------------------------------------------------------


def spline(points, count=80):
    """Catmull-Rom curve through the points, as ``count`` vectors."""
    pts = [Vector(p) for p in points]
    pts = [2 * pts[0] - pts[1], *pts, 2 * pts[-1] - pts[-2]]
    spans = len(pts) - 3
    out = []
    for i in range(count):
        t = i / (count - 1) * spans
        k = min(int(t), spans - 1)
        t -= k
        a, b, c, d = pts[k : k + 4]
        out.append(
            0.5
            * (
                2 * b
                + (c - a) * t
                + (2 * a - 5 * b + 4 * c - d) * t * t
                + (3 * b - a - 3 * c + d) * t * t * t
            )
        )
    return out


def rounded(points, steps=7, closed=False):
    """Polyline of (x, y) or (x, y, radius); corners with a radius are rounded."""
    out = []
    n = len(points)
    for i, point in enumerate(points):
        v = Vector(point[:2])
        radius = point[2] if len(point) > 2 else 0
        if not radius or (not closed and i in (0, n - 1)):
            out.append(v)
            continue
        before, after = Vector(points[i - 1][:2]) - v, Vector(points[(i + 1) % n][:2]) - v
        half = before.angle(after) / 2
        reach = min(radius / math.tan(half), before.length * 0.49, after.length * 0.49)
        a, c = v + before.normalized() * reach, v + after.normalized() * reach
        weight = sin(half)
        for k in range(steps + 1):
            t = k / steps
            w0, w1, w2 = (1 - t) ** 2, 2 * t * (1 - t) * weight, t * t
            out.append((a * w0 + v * w1 + c * w2) / (w0 + w1 + w2))
    return out


def ellipse(width, height, power=2.0, count=28):
    """Super-ellipse section: 2 is an ellipse, higher powers are boxier."""
    out = []
    for i in range(count):
        a = 2 * pi * i / count
        c, s = cos(a), sin(a)
        out.append(
            (
                math.copysign(abs(c) ** (2 / power), c) * width / 2,
                math.copysign(abs(s) ** (2 / power), s) * height / 2,
            )
        )
    return out


# --------------------------------------------------------------------------
# Meshes
# --------------------------------------------------------------------------


def mesh_object(name, verts, faces, material=None, smooth=40, recalc=True):
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([tuple(v) for v in verts], [], faces)
    if recalc:
        bm = bmesh.new()
        bm.from_mesh(mesh)
        bmesh.ops.recalc_face_normals(bm, faces=bm.faces)
        bm.to_mesh(mesh)
        bm.free()
    mesh.shade_smooth()
    if smooth < 180:
        mesh.set_sharp_from_angle(angle=radians(smooth))
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(obj)
    if material:
        mesh.materials.append(material)
    return obj


def place(obj, loc=None, rot=None, scale=None):
    if loc is not None:
        obj.location = loc
    if rot is not None:
        obj.rotation_euler = [radians(r) for r in rot]
    if scale is not None:
        obj.scale = scale if hasattr(scale, "__len__") else (scale,) * 3
    return obj


def lathe(name, profile, material, segments=128, shape=None, arc=None, smooth=40):
    """Turn a profile of (radius, height) around the Z axis.

    ``shape(angle, height)`` scales the radius; ``arc`` limits the turn (degrees).
    """
    verts, rings = [], []
    lo, hi = (radians(a) for a in (arc or (0, 360)))
    count = segments + 1 if arc else segments
    for r, z in (tuple(p)[:2] for p in profile):
        if r < 1e-6 and not arc:
            rings.append([len(verts)] * count)
            verts.append((0, 0, z))
            continue
        ring = []
        for i in range(count):
            a = lo + (hi - lo) * i / segments
            k = r * (shape(a, z) if shape else 1)
            ring.append(len(verts))
            verts.append((k * cos(a), k * sin(a), z))
        rings.append(ring)
    faces = []
    for low, high in zip(rings, rings[1:]):
        for i in range(segments):
            j = (i + 1) % count
            quad = list(dict.fromkeys((low[i], low[j], high[j], high[i])))
            if len(quad) > 2:
                faces.append(quad)
    return mesh_object(name, verts, faces, material, smooth)


def sweep(name, path, section, material, taper=None, up=(0, 0, 1), caps=True, bore=0.0):
    """Move a section along a path; ``taper(t)`` scales it on the way.

    With ``bore`` the tube gets a blind hole at its end, walls that thick.
    """
    pts = [Vector(p) for p in path]
    normal = Vector(up)
    rings, verts = [], []
    stations = []
    for i, p in enumerate(pts):
        tangent = (pts[min(i + 1, len(pts) - 1)] - pts[max(i - 1, 0)]).normalized()
        normal = (normal - tangent * normal.dot(tangent)).normalized()
        stations.append((p, normal.copy(), tangent.cross(normal), i / (len(pts) - 1)))
    passes = [(s, 0.0) for s in stations]
    if bore:
        passes += [(s, bore) for s in reversed(stations[len(stations) // 2 :])]
    for (p, n, b, t), inset in passes:
        k = taper(t) if taper else 1
        ring = []
        for x, y in section:
            shrink = 1 - inset / max(k * math.hypot(x, y), 1e-6)
            ring.append(len(verts))
            verts.append(p + (n * x + b * y) * k * shrink)
        rings.append(ring)
    count = len(section)
    faces = []
    for low, high in zip(rings, rings[1:]):
        for i in range(count):
            j = (i + 1) % count
            faces.append((low[i], low[j], high[j], high[i]))
    if caps:
        faces += [rings[0][::-1], rings[-1]]
    return mesh_object(name, verts, faces, material, 50)


def tube(name, points, radius, material, count=80, sides=20):
    return sweep(name, spline(points, count), ellipse(2 * radius, 2 * radius, count=sides), material)


def rod(name, start, end, r0, r1, material, edge=0.02):
    """Tapered round bar between two points; its grain runs along its own Z."""
    start, end = Vector(start), Vector(end)
    length = (end - start).length
    profile = rounded([(0, 0), (r0, 0, edge), (r1, length, edge), (0, length)])
    obj = lathe(name, profile, material, 48)
    obj.rotation_euler = (end - start).to_track_quat("Z", "Y").to_euler()
    obj.location = start
    return obj


def box(name, size, material, loc=(0, 0, 0), rot=None, bevel=0.02, steps=4):
    x, y, z = (s / 2 for s in size)
    verts = [(i, j, k) for i in (-x, x) for j in (-y, y) for k in (-z, z)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    obj = mesh_object(name, verts, faces, material, 180)
    if bevel:
        mod = obj.modifiers.new("bevel", "BEVEL")
        mod.width, mod.segments, mod.limit_method = bevel, steps, "NONE"
        mod.harden_normals = True
    else:
        obj.data.shade_flat()
    return place(obj, loc, rot)


def slab(name, outline, depth, material, bevel=0.03, steps=4):
    """Extrude a closed outline of (x, y) points upwards, with rounded edges."""
    bottom = [(x, y, 0) for x, y in outline]
    top = [(x, y, depth) for x, y in outline]
    n = len(outline)
    faces = [list(range(n))[::-1], list(range(n, 2 * n))]
    faces += [(i, (i + 1) % n, n + (i + 1) % n, n + i) for i in range(n)]
    obj = mesh_object(name, bottom + top, faces, material, 180)
    mod = obj.modifiers.new("bevel", "BEVEL")
    mod.width, mod.segments, mod.limit_method, mod.angle_limit = bevel, steps, "ANGLE", radians(60)
    mod.harden_normals = True
    return obj


def fuse(name, objects, material, voxel, smooth=8):
    """Melt objects into one skin, as a potter joins a handle to a body."""
    bpy.context.view_layer.update()
    bm = bmesh.new()
    for obj in objects:
        part = obj.data.copy()
        part.transform(obj.matrix_world)
        bm.from_mesh(part)
        bpy.data.objects.remove(obj)
    mesh = bpy.data.meshes.new(name)
    bm.to_mesh(mesh)
    bm.free()
    mesh.materials.clear()
    mesh.materials.append(material)
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(obj)
    mod = obj.modifiers.new("remesh", "REMESH")
    mod.mode, mod.voxel_size, mod.use_smooth_shade = "VOXEL", voxel, True
    mod = obj.modifiers.new("smooth", "SMOOTH")
    mod.iterations = smooth
    return obj


def grid(name, width, depth, material, height, steps=220, loc=(0, 0, 0)):
    """Rectangular cloth or ground with ``height(x, y)``."""
    verts = []
    for j in range(steps + 1):
        for i in range(steps + 1):
            x, y = (i / steps - 0.5) * width + loc[0], (j / steps - 0.5) * depth + loc[1]
            verts.append((x, y, height(x, y) + loc[2]))
    row = steps + 1
    faces = [
        (j * row + i, j * row + i + 1, (j + 1) * row + i + 1, (j + 1) * row + i)
        for j in range(steps)
        for i in range(steps)
    ]
    return mesh_object(name, verts, faces, material, 180, recalc=False)


def lettering(body, size, material, loc=(0, 0, 0), rot=(90, 0, 0), radius=0.0, spacing=1.0, depth=0.002):
    """Flat text standing in the XZ plane, or wrapped around a cylinder."""
    curve = bpy.data.curves.new("text", "FONT")
    curve.body, curve.size, curve.align_x, curve.align_y = body, size, "CENTER", "CENTER"
    curve.space_character, curve.extrude, curve.resolution_u = spacing, depth, 6
    source = bpy.data.objects.new("text", curve)
    bpy.context.scene.collection.objects.link(source)
    bpy.context.view_layer.update()
    mesh = bpy.data.meshes.new_from_object(source.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    bpy.data.objects.remove(source)
    if radius:
        for v in mesh.vertices:
            a, r = v.co.x / radius, radius + v.co.z
            v.co = Vector((r * sin(a), -r * cos(a), v.co.y))
        rot = (0, 0, 0)
    mesh.materials.clear()
    mesh.materials.append(material)
    obj = bpy.data.objects.new(body, mesh)
    bpy.context.scene.collection.objects.link(obj)
    return place(obj, loc, rot)


def leaf_outline(length, width, count=16):
    """Outline of a pointed leaf that starts at the origin and grows along Y."""
    right = [
        (width / 2 * sin(pi * (i / count) ** 0.8) ** 0.9, length * i / count) for i in range(count + 1)
    ]
    return right + [(-x, y) for x, y in reversed(right[1:-1])]


# --------------------------------------------------------------------------
# Materials
# --------------------------------------------------------------------------


def rgb(code):
    """'#rrggbb' as linear RGBA."""
    parts = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return (*(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts), 1)


class Graph:
    """A material and a short way to add and link shader nodes."""

    def __init__(self, name):
        self.material = bpy.data.materials.new(name)
        self.tree = self.material.node_tree
        self.tree.nodes.clear()
        self.output = self.tree.nodes.new("ShaderNodeOutputMaterial")

    def node(self, kind, inputs=None, **props):
        node = self.tree.nodes.new("ShaderNode" + kind)
        for key, value in props.items():
            setattr(node, key, value)
        for key, value in (inputs or {}).items():
            self.put(node.inputs[key], value)
        return node

    def put(self, socket, value):
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        elif isinstance(value, bpy.types.Node):
            self.tree.links.new(value.outputs[0], socket)
        else:
            socket.default_value = rgb(value) if isinstance(value, str) else value

    # values -----------------------------------------------------------------

    def coords(self, scale=(1, 1, 1), rot=(0, 0, 0), vary=False, kind="Object"):
        vector = self.node("TexCoord").outputs[kind]
        if vary:
            rand = self.node("ObjectInfo").outputs["Random"]
            shift = self.node("VectorMath", {0: (37.0, 61.0, 83.0)}, operation="SCALE")
            self.put(shift.inputs["Scale"], rand)
            vector = self.node("VectorMath", {0: vector, 1: shift}, operation="ADD")
        inputs = {"Vector": vector, "Scale": scale, "Rotation": [radians(r) for r in rot]}
        return self.node("Mapping", inputs)

    def noise(self, vector, scale, detail=4.0, rough=0.5, distortion=0.0):
        return self.node(
            "TexNoise",
            {"Vector": vector, "Scale": scale, "Detail": detail, "Roughness": rough, "Distortion": distortion},
        )

    def math(self, operation, a, b=0.0, clamp=False):
        return self.node("Math", {0: a, 1: b}, operation=operation, use_clamp=clamp)

    def ramp(self, value, *stops):
        """Colour ramp; stops are (position, colour)."""
        node = self.node("ValToRGB", {0: value})
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, colour) in zip(elements, stops):
            element.position = position
            element.color = rgb(colour) if isinstance(colour, str) else (colour, colour, colour, 1)
        return node

    def mix(self, factor, a, b, blend="MIX"):
        return self.node("MixRGB", {0: factor, 1: a, 2: b}, blend_type=blend)

    def bump(self, height, strength=0.2, distance=0.02, normal=None):
        inputs = {"Height": height, "Strength": strength, "Distance": distance}
        if normal is not None:
            inputs["Normal"] = normal
        return self.node("Bump", inputs)

    # surfaces ---------------------------------------------------------------

    def principled(self, **inputs):
        return self.node("BsdfPrincipled", {k.replace("_", " "): v for k, v in inputs.items()})

    def surface(self, shader):
        self.put(self.output.inputs["Surface"], shader)
        return self.material


def plain(name, colour, roughness=0.5, metallic=0.0, **inputs):
    g = Graph(name)
    return g.surface(g.principled(Base_Color=colour, Roughness=roughness, Metallic=metallic, **inputs))


def metal(name, colour, roughness=0.22, brushed=0.0, tangent=None):
    """Metal with faint smudges; ``brushed`` stretches the highlights."""
    g = Graph(name)
    smudge = g.noise(g.coords((3, 3, 3)), 4, 5)
    rough = g.ramp(smudge, (0.3, roughness * 0.8), (0.7, roughness * 1.25))
    inputs = dict(Base_Color=colour, Metallic=1.0, Roughness=rough)
    if brushed:
        inputs["Anisotropic"] = brushed
        if tangent:
            inputs["Tangent"] = g.node("Tangent", direction_type="RADIAL", axis=tangent)
    return g.surface(g.principled(**inputs))


def wood(name, light, mid, dark, axis="Z", scale=1.0, roughness=0.42, rings=16.0, coat=0.0, vary=True):
    """Planed wood with growth rings, fibres and pores along one axis."""
    g = Graph(name)
    along = {"X": 0, "Y": 1, "Z": 2}[axis]
    coarse, fine = [scale] * 3, [scale] * 3
    coarse[along] *= 0.10
    fine[along] *= 0.07
    vec = g.coords(coarse, vary=vary)
    fibre_vec = g.coords(fine, vary=vary)
    body = g.noise(vec, 1.1, 3, 0.45, 0.5)
    ring = g.math("SINE", g.math("MULTIPLY", body, rings * 2.2))
    ring = g.math("MULTIPLY_ADD", ring, 0.5)
    ring.inputs[2].default_value = 0.5
    colour = g.ramp(ring, (0.0, light), (0.55, mid), (1.0, dark))
    broad = g.noise(vec, 0.7, 2)
    colour = g.mix(g.ramp(broad, (0.35, 0.0), (0.7, 0.75)), colour, mid)
    fibre = g.noise(fibre_vec, 44, 7, 0.7)
    streak = g.ramp(fibre, (0.36, 0.45), (0.56, 1.0))
    colour = g.mix(0.8, colour, streak, "MULTIPLY")
    tint = g.ramp(g.node("ObjectInfo").outputs["Random"], (0.0, 0.86), (1.0, 1.0))
    colour = g.mix(1.0 if vary else 0.0, colour, tint, "MULTIPLY")
    rough = g.ramp(fibre, (0.3, min(1.0, roughness * 1.3)), (0.7, roughness))
    bump = g.bump(fibre, 0.25, 0.012)
    shader = g.principled(Base_Color=colour, Roughness=rough, Normal=bump, Coat_Weight=coat, Coat_Roughness=0.15)
    return g.surface(shader)


def oak(axis="Z", scale=1.0, **more):
    return wood("oak", "#d9b07c", "#c4925c", "#a8743f", axis, scale, **more)


def walnut(axis="X", scale=1.0, **more):
    return wood("walnut", "#8d6243", "#724a30", "#543321", axis, scale, **more)


def concrete(name, light, dark, scale=1.0):
    g = Graph(name)
    vec = g.coords((scale,) * 3)
    cloud = g.noise(vec, 0.55, 8, 0.62, 0.3)
    colour = g.ramp(cloud, (0.32, dark), (0.68, light))
    grain = g.noise(vec, 26, 6, 0.7)
    colour = g.mix(0.35, colour, g.ramp(grain, (0.3, 0.55), (0.65, 1.0)), "MULTIPLY")
    cells = g.node("TexVoronoi", {"Vector": vec, "Scale": 6.5, "Randomness": 1.0})
    gate = g.ramp(g.noise(vec, 3.1, 2), (0.56, 0.0), (0.60, 1.0))
    pits = g.math("MULTIPLY", g.ramp(cells, (0.06, 1.0), (0.11, 0.0)), gate)
    colour = g.mix(g.math("MULTIPLY", pits, 0.55), colour, "#3b3a38")
    height = g.math("SUBTRACT", g.math("MULTIPLY", grain, 0.25), pits)
    shader = g.principled(Base_Color=colour, Roughness=0.72, Normal=g.bump(height, 0.5, 0.02))
    return g.surface(shader)


def plaster(name, colour, strength=0.25, scale=1.0):
    """Hand-finished wall paint."""
    g = Graph(name)
    vec = g.coords((scale, scale, scale))
    trowel = g.noise(vec, 0.9, 7, 0.6, 1.2)
    shade = g.ramp(trowel, (0.3, 0.88), (0.7, 1.0))
    base = g.mix(1.0, colour, shade, "MULTIPLY")
    return g.surface(g.principled(Base_Color=base, Roughness=0.85, Normal=g.bump(trowel, strength, 0.08)))


def woven(name, colour, thread=60.0, contrast=0.35, bump=0.5, sheen=0.3, coords="Object"):
    """Plain weave: two crossing sets of threads with slubs."""
    g = Graph(name)
    vec = g.coords(kind=coords)
    slub = g.noise(g.coords((1, 14, 1), kind=coords), 5, 3)
    slub2 = g.noise(g.coords((14, 1, 1), kind=coords), 5, 3)
    warp = g.node("TexWave", {"Vector": vec, "Scale": thread / 5, "Distortion": 1.6, "Detail": 2.0, "Detail Scale": 1.2})
    warp.bands_direction = "X"
    weft = g.node("TexWave", {"Vector": vec, "Scale": thread / 5, "Distortion": 1.6, "Detail": 2.0, "Detail Scale": 1.2})
    weft.bands_direction = "Y"
    height = g.math("MULTIPLY", warp, weft)
    tone = g.math("MULTIPLY", g.math("ADD", slub, slub2), 0.5)
    shade = g.mix(0.5, g.ramp(tone, (0.35, 1 - contrast), (0.62, 1.0)), g.ramp(height, (0, 1 - contrast), (0.8, 1.0)))
    base = g.mix(1.0, colour, shade, "MULTIPLY")
    shader = g.principled(
        Base_Color=base,
        Roughness=0.9,
        Sheen_Weight=sheen,
        Normal=g.bump(height, bump, 0.015),
    )
    return g.surface(shader)


def leather(name, colour, scale=1.0, roughness=0.42):
    g = Graph(name)
    vec = g.coords((scale,) * 3)
    cells = g.node("TexVoronoi", {"Vector": vec, "Scale": 26.0}, feature="SMOOTH_F1")
    wear = g.noise(vec, 2.2, 5)
    base = g.mix(1.0, colour, g.ramp(wear, (0.3, 0.78), (0.7, 1.0)), "MULTIPLY")
    height = g.math("ADD", cells, g.math("MULTIPLY", g.noise(vec, 60, 3), 0.4))
    return g.surface(g.principled(Base_Color=base, Roughness=roughness, Normal=g.bump(height, 0.28, 0.012)))


def glaze(name, colour, edge=None, clay="#b98d6b", speckle=0.0, roughness=0.12, pool=None):
    """Ceramic glaze; below ``edge`` (a height) the clay shows."""
    g = Graph(name)
    vec = g.coords()
    drift = g.noise(vec, 2.2, 4)
    base = g.mix(1.0, colour, g.ramp(drift, (0.3, 0.88), (0.7, 1.0)), "MULTIPLY")
    if pool:  # a second glaze colour that runs down from above
        height, second, soft = pool
        z = g.node("SeparateXYZ", {0: vec}).outputs[2]
        wobble = g.math("MULTIPLY_ADD", g.noise(vec, 3.0, 3), 0.30)
        g.put(wobble.inputs[2], z)
        mask = g.math("MULTIPLY_ADD", wobble, 1 / soft)
        mask.inputs[2].default_value = -(height + 0.15) / soft
        base = g.mix(g.math("ADD", mask, 0.0, clamp=True), base, second)
    if speckle:
        dots = g.ramp(g.noise(vec, 48, 1, 0.4), (0.69, 0.0), (0.72, 1.0))
        base = g.mix(g.math("MULTIPLY", dots, speckle), base, "#5a3d28")
    shader = g.principled(
        Base_Color=base,
        Roughness=roughness,
        Coat_Weight=0.35,
        Coat_Roughness=0.05,
        Normal=g.bump(g.noise(vec, 5, 2), 0.05, 0.03),
    )
    if edge is not None:
        z = g.node("SeparateXYZ", {0: vec}).outputs[2]
        line = g.math("MULTIPLY_ADD", g.noise(vec, 5, 2), 0.03)
        g.put(line.inputs[2], z)
        mask = g.math("GREATER_THAN", line, edge + 0.015)
        grain = g.noise(vec, 45, 5, 0.7)
        raw = g.principled(
            Base_Color=g.mix(0.5, clay, g.ramp(grain, (0.3, 0.6), (0.65, 1.0)), "MULTIPLY"),
            Roughness=0.85,
            Normal=g.bump(grain, 0.35, 0.012),
        )
        shader = g.node("MixShader", {0: mask, 1: raw, 2: shader})
    return g.surface(shader)


def glass(name, colour="#ffffff", ior=1.5, roughness=0.0, shadow=None):
    """Glass whose shadow is tinted light rather than a caustic (no noise)."""
    g = Graph(name)
    clear = g.node("BsdfGlass", {"Color": colour, "IOR": ior, "Roughness": roughness})
    passing = g.node("BsdfTransparent", {"Color": shadow or colour})
    path = g.node("LightPath")
    soft = g.math("MAXIMUM", path.outputs["Is Shadow Ray"], path.outputs["Is Diffuse Ray"])
    return g.surface(g.node("MixShader", {0: soft, 1: clear, 2: passing}))


def crystal(name, amount=1.0):
    """A thin pane: reflects by angle, does not refract."""
    g = Graph(name)
    fresnel = g.math("MULTIPLY", g.node("Fresnel", {"IOR": 1.45}), amount)
    shine = g.node("BsdfGlossy", {"Roughness": 0.0})
    return g.surface(g.node("MixShader", {0: fresnel, 1: g.node("BsdfTransparent"), 2: shine}))


def glow(name, colour, strength):
    g = Graph(name)
    return g.surface(g.node("Emission", {"Color": colour, "Strength": strength}))


def lampshade(name, colour, translucency=0.55):
    g = Graph(name)
    vec = g.coords()
    slub = g.noise(g.coords((1, 1, 26)), 5, 3)
    slub2 = g.noise(g.coords((9, 9, 0.6)), 7, 3)
    tone = g.math("MULTIPLY", g.math("ADD", slub, slub2), 0.5)
    base = g.mix(1.0, colour, g.ramp(tone, (0.36, 0.72), (0.62, 1.0)), "MULTIPLY")
    bump = g.bump(g.math("ADD", tone, g.math("MULTIPLY", g.noise(vec, 70, 2), 0.3)), 0.3, 0.02)
    front = g.node("BsdfDiffuse", {"Color": base, "Normal": bump})
    through = g.node("BsdfTranslucent", {"Color": base})
    return g.surface(g.node("MixShader", {0: translucency, 1: front, 2: through}))


# --------------------------------------------------------------------------
# Camera, light, sets
# --------------------------------------------------------------------------


def aim(obj, loc, target):
    obj.location = loc
    obj.rotation_euler = (Vector(target) - Vector(loc)).to_track_quat("-Z", "Y").to_euler()
    return obj


def camera(loc, target, lens=70, fstop=None, focus=None, shift=(0, 0)):
    data = bpy.data.cameras.new("camera")
    data.lens = lens
    data.shift_x, data.shift_y = shift
    obj = bpy.data.objects.new("camera", data)
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.scene.camera = aim(obj, loc, target)
    if fstop:
        data.dof.use_dof = True
        data.dof.aperture_fstop = fstop
        view = (Vector(target) - Vector(loc)).normalized()
        data.dof.focus_distance = (Vector(focus or target) - Vector(loc)).dot(view)
    return obj


def light(loc, target, size, power, colour="#ffffff", shape="RECTANGLE", spread=180):
    data = bpy.data.lights.new("area", "AREA")
    data.shape = shape
    data.size, data.size_y = size if hasattr(size, "__len__") else (size, size)
    data.energy, data.color, data.spread = power, rgb(colour)[:3], radians(spread)
    obj = bpy.data.objects.new("area", data)
    bpy.context.scene.collection.objects.link(obj)
    obj.visible_camera = False
    return aim(obj, loc, target)


def window_sun(loc, target, power, size=(0.3, 0.3), bars=0.02, panes=(1, 1), radius=0.25, colour="#ffe2b8", leaves=0.0):
    """A far spot that throws the pattern of a window with glazing bars.

    ``leaves`` adds the dapple of a tree outside.
    """
    data = bpy.data.lights.new("sun", "SPOT")
    data.energy, data.color, data.shadow_soft_size = power, rgb(colour)[:3], radius
    data.spot_size, data.spot_blend = radians(80), 0.1
    data.use_nodes = True
    tree = data.node_tree
    emission = next(n for n in tree.nodes if n.type == "EMISSION")

    def node(kind, *values, operation=None):
        made = tree.nodes.new("ShaderNode" + kind)
        if operation:
            made.operation = operation
        for socket, value in zip(made.inputs, values):
            if isinstance(value, bpy.types.NodeSocket):
                tree.links.new(value, socket)
            else:
                socket.default_value = value
        return made.outputs[0]

    def calc(operation, a, b=0.0):
        return node("Math", a, b, operation=operation)

    coords = tree.nodes.new("ShaderNodeTexCoord").outputs["Normal"]
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(coords, split.inputs[0])
    mask = None
    for axis, half, count in ((0, size[0], panes[0]), (1, size[1], panes[1])):
        u = calc("DIVIDE", split.outputs[axis], split.outputs[2])
        inside = calc("LESS_THAN", calc("ABSOLUTE", u), half)
        pitch = 2 * half / count
        cell = calc("PINGPONG", calc("ADD", u, half), pitch / 2)  # 0 on a bar, pitch / 2 mid-pane
        term = calc("MULTIPLY", inside, calc("GREATER_THAN", cell, bars / 2))
        mask = term if mask is None else calc("MULTIPLY", mask, term)
    if leaves:
        noise = tree.nodes.new("ShaderNodeTexNoise")
        noise.inputs["Scale"].default_value = leaves
        noise.inputs["Detail"].default_value = 1.5
        tree.links.new(coords, noise.inputs["Vector"])
        soft = calc("MULTIPLY", calc("SUBTRACT", noise.outputs[0], 0.42), 9.0)
        tree.nodes[-1].use_clamp = True
        mask = calc("MULTIPLY", mask, soft)
    tree.links.new(mask, emission.inputs["Strength"])
    obj = bpy.data.objects.new("sun", data)
    bpy.context.scene.collection.objects.link(obj)
    return aim(obj, loc, target)


def ambient(colour="#ffffff", strength=0.3):
    world = bpy.data.worlds.new("world")
    back = next(n for n in world.node_tree.nodes if n.type == "BACKGROUND")
    back.inputs[0].default_value, back.inputs[1].default_value = rgb(colour), strength
    bpy.context.scene.world = world


def exposure(stops, look="AgX - Medium High Contrast"):
    view = bpy.context.scene.view_settings
    view.exposure = stops
    view.look = look


def paper_sweep(material, back=6.0, width=40.0, radius=3.0, height=20.0, front=-14.0):
    """Seamless paper: floor, curve, wall."""
    line = rounded([(front, 0), (back, 0, radius), (back, height)], steps=40)
    verts, faces = [], []
    for y, z in line:
        verts += [(-width / 2, y, z), (width / 2, y, z)]
    for i in range(len(line) - 1):
        faces.append((2 * i, 2 * i + 1, 2 * i + 3, 2 * i + 2))
    return mesh_object("paper", verts, faces, material, 180, recalc=False)


def planks(material, count, size, gap=0.012, loc=(0, 0, 0), along="X"):
    """Boards side by side; tops at the height of ``loc``."""
    length, width, thick = size
    for i in range(count):
        offset = (i - (count - 1) / 2) * (width + gap)
        dims = (length, width, thick) if along == "X" else (width, length, thick)
        at = (loc[0], loc[1] + offset) if along == "X" else (loc[0] + offset, loc[1])
        box("plank", dims, material, (*at, loc[2] - thick / 2), bevel=0.018)


def wall(material, y, width=60, height=30, bottom=-5.0):
    verts = [(-width / 2, y, bottom), (width / 2, y, bottom), (width / 2, y, bottom + height), (-width / 2, y, bottom + height)]
    return mesh_object("wall", verts, [(0, 1, 2, 3)], material, 180, recalc=False)


def group(*parts):
    """Tie parts to one empty, to move them together."""
    empty = bpy.data.objects.new("group", None)
    bpy.context.scene.collection.objects.link(empty)
    for part in parts:
        if part.parent is None:
            part.parent = empty
    return empty


def group_since(start):
    """Group everything made after ``start`` (a set of objects)."""
    return group(*[o for o in bpy.context.scene.objects if o not in start])


def everything():
    return set(bpy.context.scene.objects)


# --------------------------------------------------------------------------
# The pictures
# --------------------------------------------------------------------------


@picture("mug", 1080, 810)
def mug():
    """Speckled stoneware mug on an oak table, a blurred kitchen behind."""
    body = lathe(
        "body",
        rounded(
            [
                (0, 0.035), (0.29, 0.035), (0.30, 0, 0.01), (0.345, 0, 0.012), (0.365, 0.04, 0.02),
                (0.43, 0.17, 0.16), (0.425, 0.55, 0.5), (0.435, 0.95, 0.018), (0.395, 0.95, 0.018),
                (0.385, 0.16, 0.12), (0, 0.10),
            ]
        ),
        None, 160,
    )  # fmt: skip
    path = spline(
        [(0.412, 0, 0.775), (0.54, 0, 0.80), (0.68, 0, 0.735), (0.725, 0, 0.57), (0.67, 0, 0.40), (0.55, 0, 0.285), (0.408, 0, 0.235)],
        70,
    )
    handle = sweep("handle", path, ellipse(0.07, 0.125, 2.4), None, taper=lambda t: 1 + 0.45 * abs(2 * t - 1) ** 6)
    skin = glaze("glaze", "#e9e2d3", edge=0.15, speckle=0.8, pool=(0.60, "#3f6f7d", 0.10))
    ware = fuse("mug", [body, handle], skin, 0.0075, 7)
    coffee = lathe("coffee", [(0, 0.80), (0.36, 0.80), (0.376, 0.803), (0.40, 0.812)], plain("coffee", "#2a1409", 0.06))
    place(group(ware, coffee), (0, 0, 0.0), (0, 0, -28))

    planks(oak("X", 0.9), 7, (18, 1.15, 0.3), loc=(0, 0.6, 0), gap=0.02)
    wall(plaster("wall", "#cfc4b2"), 13)
    box("window", (6, 0.1, 8), glow("day", "#dcebf5", 5.0), (-6.2, 12.8, 3.4), bevel=0)
    box("mullion", (0.3, 0.3, 8), plain("frame", "#efeae0"), (-6.2, 12.6, 3.4))
    box("shelf", (9, 1.5, 0.25), walnut(), (4.6, 12, 0.35))
    for x, h, c in ((1.2, 1.0, "#b4674a"), (2.4, 1.7, "#e6dfd0"), (3.7, 0.9, "#5f7a6a"), (5.0, 1.3, "#d9a85a")):
        rod("jar", (x, 11.9, 0.48), (x, 11.9, 0.48 + h), 0.5, 0.45, plain("jar", c, 0.3))
    light((-4.5, 0.6, 4.2), (0, 0, 0.4), (2.2, 2.2), 460, "#fff4e6")
    light((4, -5, 3), (0, 0, 0.5), (4, 4), 70, "#e8f0ff")
    light((2.5, 5, 4), (0, 0, 0.6), (3, 2), 260, "#ffe9cf")
    light((0, 8, 6), (0, 13, 1), 5, 260, "#fff0dc", spread=110)
    ambient("#f3ede4", 0.2)
    camera((0.15, -5.7, 1.5), (0.10, 0, 0.56), 80, 0.5, (0, -0.35, 0.5))
    exposure(0.3)


@picture("table-lamp", 720, 1080)
def table_lamp():
    """Lit lamp with a linen shade and a sage ceramic base on a sideboard."""
    line = spline([(0.50, 0.12), (0.78, 0.42), (0.86, 0.85), (0.70, 1.35), (0.36, 1.75), (0.19, 2.05), (0.17, 2.2)], 70)
    body = [(0, 0.09), (0.44, 0.09), *[tuple(p) for p in line], (0, 2.2)]
    lathe("base", body, glaze("sage", "#7f957f", roughness=0.16), 160)
    brass = metal("brass", "#c9a15a", 0.2)
    lathe("foot", rounded([(0, 0), (0.60, 0, 0.02), (0.60, 0.07, 0.03), (0.47, 0.12, 0.02), (0, 0.12)]), brass)
    lathe("collar", rounded([(0, 2.16), (0.21, 2.16, 0.02), (0.21, 2.24, 0.02), (0.10, 2.28, 0.03), (0.09, 2.62, 0.01), (0.13, 2.64, 0.01), (0.13, 2.95, 0.02), (0, 2.95)]), brass)
    lathe("finial", rounded([(0, 4.18), (0.03, 4.18), (0.03, 4.28), (0.09, 4.33, 0.04), (0.09, 4.43, 0.05), (0, 4.47)]), brass)
    shade = lampshade("linen shade", "#efe3cb")
    r0, r1, z0, z1 = 1.30, 0.92, 2.55, 4.15
    lathe("shade", [(r0, z0), (r1, z1)], shade, 160)
    trim = plain("trim", "#d8c7a4", 0.8)
    for r, z in ((r0, z0), (r1, z1)):
        lathe("rim", rounded([(r - 0.012, z - 0.03), (r + 0.014, z - 0.03, 0.01), (r + 0.010, z + 0.04, 0.01), (r - 0.016, z + 0.04)]), trim, 160)
    for k in range(3):
        a = radians(20 + 120 * k)
        rod("spoke", (0, 0, 4.12), (r1 * cos(a), r1 * sin(a), 4.12), 0.018, 0.018, brass)
    bulb = lathe("bulb", spline([(0.001, 3.62), (0.16, 3.58), (0.24, 3.38), (0.17, 3.12), (0.11, 2.95)], 30), glow("bulb", "#ffc98a", 26))
    bulb.visible_shadow = False  # it would hide the light inside it
    lamp = bpy.data.lights.new("bulb", "POINT")
    lamp.energy, lamp.color, lamp.shadow_soft_size = 130, rgb("#ffcf96")[:3], 0.25
    obj = bpy.data.objects.new("bulb light", lamp)
    bpy.context.scene.collection.objects.link(obj)
    obj.location = (0, 0, 3.4)
    tube("cord", [(0.2, 0.5, 0.05), (0.9, 0.9, 0.045), (1.8, 0.7, 0.045), (2.8, 1.3, 0.045), (4.4, 1.6, 0.045)], 0.035, plain("cord", "#3b3630", 0.6))

    planks(walnut("X", 0.7), 3, (16, 1.9, 0.4), loc=(0, 0.2, 0))
    box("front", (16, 0.2, 6), walnut("X", 0.5), (0, -2.55, -3.35))
    wall(plaster("wall", "#b9a48c"), 4.4)
    frame = walnut("Z", 0.8)
    box("frame", (2.6, 0.14, 3.4), frame, (-2.75, 4.25, 4.0))
    box("mat", (2.25, 0.16, 3.05), plain("mat", "#efe9dc", 0.9), (-2.75, 4.22, 4.0), bevel=0)
    place(lathe("print", [(0, 0), (0.62, 0)], plain("print", "#b4583a", 0.9), 64), (-2.75, 4.13, 4.25), (90, 0, 0))
    box("print", (1.5, 0.02, 0.3), plain("ink", "#2f4a4a", 0.9), (-2.75, 4.13, 3.2), bevel=0)
    for i, (w, c) in enumerate(((2.0, "#3d5a5a"), (1.8, "#c9a27a"), (1.9, "#7b3f33"))):
        box("book", (w, 1.4, 0.24), plain("cover", c, 0.7), (-2.75, 0.7, 0.13 + 0.26 * i), (0, 0, 4 - 5 * i), 0.03)
    light((-6, -5, 6), (0, 0, 2), (5, 5), 420, "#e6eeff")
    light((5, -3, 4), (0, 0, 1.5), (3, 4), 170, "#fff1e0")
    ambient("#e4dccf", 0.2)
    camera((0.35, -13.0, 3.3), (-0.12, 0, 2.25), 74, 0.5, (0, -0.8, 2))
    exposure(0.3)


@picture("wooden-stool", 810, 1080)
def wooden_stool():
    """Round oak stool on a pale floor before a terracotta wall with window light."""
    grain = oak("Z", 0.55, coat=0.12)
    top = oak("X", 0.5, coat=0.12)
    seat = rounded([(0, 4.22), (1.58, 4.22, 0.12), (1.72, 4.40, 0.10), (1.72, 4.50, 0.07), (1.60, 4.545, 0.1), (1.1, 4.51, 0.3), (0, 4.485)], 10)
    lathe("seat", seat, top, 160)
    feet = []
    for k in range(4):
        a = radians(45 + 90 * k + 22)
        d = Vector((cos(a), sin(a), 0))
        foot, head = d * 1.75, d * 1.05 + Vector((0, 0, 4.52))
        profile = rounded([(0, 0), (0.115, 0, 0.02), (0.15, 1.2, 0.5), (0.185, 3.0, 0.6), (0.15, 4.1, 0.3), (0.13, 4.577, 0.02), (0, 4.577)], 10)
        leg = lathe("leg", profile, grain, 48)
        leg.rotation_euler = (head - foot).to_track_quat("Z", "Y").to_euler()
        leg.location = foot
        feet.append((foot, head))
        place(box("wedge", (0.035, 0.23, 0.02), walnut("Y"), head + Vector((0, 0, 0.002)), (0, 0, math.degrees(a)), 0.003))
    def on(k, t):
        foot, head = feet[k % 4]
        return foot.lerp(head, t)
    for k in range(4):
        t = 0.30 if k % 2 else 0.42
        rod("rung", on(k, t), on(k + 1, t), 0.085, 0.085, grain)

    planks(wood("floor", "#d8c5a8", "#cbb493", "#b89c78", "X", 0.35, roughness=0.5), 11, (40, 1.6, 0.3), loc=(0, -1.5, 0), gap=0.03)
    wall(plaster("wall", "#c07a5c", 0.15, 0.5), 4.2, bottom=0)
    box("skirting", (60, 0.18, 0.9), plain("skirting", "#e8ddcd", 0.5), (0, 4.1, 0.45), bevel=0.04)
    window_sun((-13, -12, 13), (0.2, 2.4, 3.0), 60000, (0.20, 0.24), 0.016, (2, 3), 0.18, leaves=7)
    light((-7, -6, 8), (0, 0, 2), (6, 6), 900, "#fff3e6")
    light((8, -4, 5), (0, 0, 2), (4, 6), 260, "#f2e6dc")
    ambient("#f0e4d8", 0.26)
    camera((1.2, -15.5, 6.3), (0, 0, 2.35), 75, 0.9)
    exposure(0.2)


@picture("perfume-bottle", 1000, 1000)
def perfume_bottle():
    """Square glass bottle of amber perfume with a gold cap on dusty-blue paper."""
    def brick(name, size, material, z, bevel):
        return box(name, size, material, (0, 0, z + size[2] / 2), bevel=bevel, steps=6)

    brick("glass", (1.15, 0.56, 1.35), glass("glass", "#fdfdfb", shadow="#cdc6bd"), 0.0, 0.06)
    brick("perfume", (0.93, 0.34, 0.86), glass("perfume", "#f4cf8a", 1.36 / 1.5, shadow="#e2ad66"), 0.16, 0.05)
    brick("air", (0.93, 0.34, 0.17), glass("air", "#ffffff", 1 / 1.5), 1.025, 0.045)
    gold = metal("gold", "#d9b36b", 0.16)
    lathe("neck", rounded([(0, 1.34), (0.24, 1.34, 0.01), (0.24, 1.40, 0.02), (0.20, 1.41, 0.01), (0.20, 1.5, 0.01), (0, 1.5)]), gold)
    lathe("cap", rounded([(0, 1.46), (0.285, 1.46, 0.015), (0.285, 2.02, 0.03), (0, 2.02)], 10), metal("cap", "#d9b36b", 0.2, 0.6, "Z"), 160)
    lathe("cap line", rounded([(0.28, 1.54), (0.29, 1.545, 0.004), (0.29, 1.56, 0.004), (0.28, 1.565)]), gold, 160)
    rod("dip tube", (0.02, 0, 0.24), (0, 0, 1.3), 0.022, 0.022, plain("tube", "#f4efe4", 0.3))
    box("label", (0.62, 0.006, 0.50), plain("label", "#f6efe3", 0.55), (0, -0.2835, 0.66), bevel=0.002)
    ink = plain("ink", "#2b211a", 0.5)
    lettering("Amber", 0.165, ink, (0, -0.289, 0.735), spacing=1.05)
    box("rule", (0.30, 0.002, 0.008), plain("rule", "#b98b45", 0.3, 0.6), (0, -0.288, 0.605), bevel=0)
    lettering("EAU DE PARFUM", 0.048, ink, (0, -0.289, 0.54), spacing=1.25)
    lettering("50 ml", 0.040, ink, (0, -0.289, 0.465), spacing=1.1)
    place(group_since(set()), (0, 0, 0), (0, 0, 17))

    paper_sweep(plain("paper", "#8fa9b4", 0.9), 8.0, radius=4)
    light((-3.4, 0.9, 3.6), (0, 0, 0.6), (1.5, 2.4), 330, "#fff6ec")
    light((3.4, -2.2, 2.2), (0, 0, 0.8), (1.0, 3.4), 60, "#ffffff")
    light((-2.4, -4.5, 2.2), (0, 0, 0.8), (2.0, 2.6), 45, "#ffffff")
    light((1.8, 3.4, 2.6), (0, 0.4, 0.6), (2.6, 2.0), 90, "#fff1e4")
    light((0, 3, 7), (0, 9, 2), 4, 420, "#fff6f0", spread=110)
    ambient("#f3f4f5", 0.2)
    camera((0, -6.6, 1.75), (0, 0, 0.98), 85)
    exposure(0.25)


@picture("headphones", 1200, 675)
def headphones():
    """Cream over-ear headphones with tan leather on concrete."""
    shell = plain("shell", "#e9e1d2", 0.38, Coat_Weight=0.15)
    hide = leather("tan leather", "#a8663a", 2.2)
    steel = metal("aluminium", "#d3d3d0", 0.25, 0.5, "Z")
    dark = woven("mesh", "#24221f", 60, bump=0.3)
    start = everything()
    for side in (-1, 1):
        before = everything()
        lathe("shell", rounded([(0, 0.33), (0.26, 0.33, 0.06), (0.37, 0.27, 0.12), (0.435, 0.13, 0.08), (0.435, 0.0, 0.03), (0, 0)], 10), shell, 128)
        lathe("ring", rounded([(0.42, 0.06), (0.447, 0.06, 0.01), (0.447, 0.105, 0.01), (0.42, 0.105)]), steel, 128)
        lathe("plate", rounded([(0, 0.335), (0.225, 0.335, 0.006), (0.235, 0.32, 0.004), (0.235, 0.30)]), metal("plate", "#d8d6d0", 0.22, 0.8, "Z"), 128)
        cushion = [(0.315 + x, -0.13 + y) for x, y in ellipse(0.23, 0.26, 2.6, 40)]
        lathe("cushion", [*cushion, cushion[0]], hide, 128)
        lathe("seam", [(0.315 + 0.118 + x, -0.03 + y) for x, y in ellipse(0.02, 0.02, 2, 10)], plain("seam", "#7b4826", 0.6), 128)
        lathe("grille", [(0, -0.06), (0.32, -0.06)], dark, 64)
        cup = group_since(before)
        cup.scale = (1.15, 0.98, 1.0)  # taller than wide, once turned
        cup.rotation_euler = (0, radians(90 * side), 0)
        cup.location = (0.70 * side, 0, 0)
        x = 0.80 * side
        arc = [(x, 0.53 * cos(radians(a)), 0.585 * sin(radians(a)) + 0.02) for a in range(-6, 187, 4)]
        sweep("yoke", arc, ellipse(0.05, 0.11, 4), shell, up=(0, 1, 0))
        for s in (-1, 1):
            rod("pivot", (x, 0.40 * s, 0), (x, 0.575 * s, 0), 0.045, 0.045, steel, 0.01)
        sweep("slider", spline([(x, 0, 0.59), (x * 0.995, 0, 0.75), (x * 0.96, 0, 0.92)], 20), ellipse(0.13, 0.035, 5), steel, up=(0, 1, 0))
    arch = [(0.80 * cos(radians(a)), 0, 0.80 + 0.78 * sin(radians(a))) for a in range(0, 181, 3)]
    sweep("headband", arch, ellipse(0.26, 0.075, 3.5), shell, taper=lambda t: 0.78 + 0.22 * sin(pi * t) ** 0.5, up=(0, 1, 0))
    pad = [(0.735 * cos(radians(a)), 0, 0.80 + 0.71 * sin(radians(a))) for a in range(28, 153, 3)]
    sweep("pad", pad, ellipse(0.25, 0.12, 3), hide, taper=lambda t: 0.35 + 0.65 * min(1, sin(pi * t) * 5) ** 0.5, up=(0, 1, 0))
    place(group_since(start), (0.35, 0, 0.5), (0, 0, -32))

    slab_mat = concrete("concrete", "#a5a39f", "#85848a", 0.8)
    box("ground", (40, 12, 0.5), slab_mat, (0, 1.5, -0.25), bevel=0.05)
    wall(plaster("wall", "#7f97a1", 0.12, 0.6), 7.5, bottom=-4)
    light((-4.5, -1.5, 4.6), (0.3, 0, 0.8), (2.6, 2.6), 480, "#fff6ea")
    light((5, -3, 2.5), (0, 0, 0.8), (3, 4), 110, "#e6efff")
    light((2.5, 4, 4), (0, 0, 1.0), (3, 2), 260, "#ffffff")
    light((-3, 3, 7), (0, 7.5, 2), 4, 420, "#f4f7ff")
    ambient("#e9eef2", 0.2)
    camera((-0.5, -9.6, 2.4), (0.0, 0, 0.98), 78, 0.8, (0, -0.5, 0.8))
    exposure(0.3)


@picture("wrist-watch", 1000, 1000)
def wrist_watch():
    """Steel watch with a green dial and a brown leather strap, flat on blue-grey stone."""
    steel = metal("steel", "#d6d7d8", 0.16)
    brushed = metal("brushed steel", "#cfd0d1", 0.3, 0.7, "Z")
    hide = leather("strap", "#7a4526", 1.5, 0.5)
    thread = plain("thread", "#e5d2ae", 0.7)
    start = everything()
    lift = 0.10
    lathe("case", rounded([(0, lift), (0.84, lift, 0.05), (0.99, lift + 0.10, 0.06), (1.0, lift + 0.30, 0.03), (0.95, lift + 0.33, 0.02), (0.86, lift + 0.33), (0, lift + 0.33)]), brushed, 192)
    lathe("bezel", rounded([(0.96, lift + 0.31), (0.97, lift + 0.36, 0.02), (0.90, lift + 0.44, 0.02), (0.83, lift + 0.44, 0.015), (0.80, lift + 0.34)]), steel, 192)
    z = lift + 0.345
    g = Graph("dial")
    tangent = g.node("Tangent", direction_type="RADIAL", axis="Z")
    dial = g.surface(g.principled(Base_Color="#1f5a47", Metallic=0.75, Roughness=0.36, Anisotropic=0.85, Tangent=tangent))
    lathe("dial", [(0, z), (0.82, z)], dial, 192)
    white = plain("print", "#f1efe8", 0.5)
    for m in range(60):
        a = radians(6 * m)
        if m % 5:
            box("tick", (0.010, 0.045, 0.004), white, (0.765 * sin(a), 0.765 * cos(a), z + 0.002), (0, 0, -6 * m), 0)
        elif m != 15:
            wide = 0.075 if m == 0 else 0.05
            box("index", (wide, 0.17, 0.03), steel, (0.68 * sin(a), 0.68 * cos(a), z + 0.015), (0, 0, -6 * m), 0.008)
            box("lume", (wide * 0.45, 0.12, 0.004), white, (0.68 * sin(a), 0.68 * cos(a), z + 0.031), (0, 0, -6 * m), 0)
    box("date", (0.17, 0.13, 0.012), white, (0.66, 0, z + 0.006), bevel=0.004)
    lettering("24", 0.115, plain("ink", "#16181a", 0.5), (0.66, -0.003, z + 0.014), (0, 0, 0))
    lettering("AUTOMATIC", 0.068, white, (0, -0.30, z + 0.003), (0, 0, 0), spacing=1.2)
    lettering("50 m", 0.055, white, (0, -0.40, z + 0.003), (0, 0, 0), spacing=1.1)
    mark = [(0.06 * sin(radians(a)), 0.06 * cos(radians(a)) + 0.36) for a in (0, 120, 240)]
    slab("mark", mark, 0.012, steel, 0.003).location.z = z

    def hand(length, width, tail, degrees, height, material):
        shape = [(-width * 0.35, -tail), (width * 0.35, -tail), (width / 2, length * 0.55), (0.006, length), (-0.006, length), (-width / 2, length * 0.55)]
        obj = slab("hand", shape, 0.018, material, 0.004, 2)
        place(obj, (0, 0, z + height), (0, 0, -degrees))

    hand(0.44, 0.085, 0.10, 305, 0.040, steel)
    hand(0.66, 0.065, 0.12, 55, 0.064, steel)
    hand(0.72, 0.018, 0.20, 200, 0.086, plain("orange", "#e2622a", 0.4))
    lathe("hub", rounded([(0, z), (0.045, z), (0.045, z + 0.112, 0.012), (0, z + 0.112)]), steel, 48)
    lathe("crystal", [(0, z + 0.135), (0.5, z + 0.128), (0.815, z + 0.105)], crystal("crystal", 0.5), 128)
    crown = lathe("crown", rounded([(0, 0), (0.13, 0, 0.02), (0.13, 0.17, 0.03), (0, 0.17)]), steel, 96, shape=lambda a, h: 1 + 0.05 * cos(24 * a))
    place(crown, (1.0, 0, lift + 0.2), (0, 90, 0))
    for sx in (-1, 1):
        for sy in (-1, 1):
            path = spline([(0.60 * sx, 0.55 * sy, lift + 0.22), (0.60 * sx, 0.90 * sy, lift + 0.22), (0.60 * sx, 1.15 * sy, lift + 0.14), (0.60 * sx, 1.30 * sy, lift + 0.0)], 24)
            sweep("lug", path, ellipse(0.20, 0.15, 5), brushed, taper=lambda t: 1 - 0.25 * t, up=(0, 0, 1))
    # strap: leaves the lugs, falls to the table and lies flat
    ends = {1: 3.15, -1: 3.75}
    for s, end in ends.items():
        height = lambda y: 0.075 + 0.13 * max(0.0, 1 - (y - 0.98) / 1.0) ** 2  # noqa: E731
        ys = [0.98 + (end - 0.98) * i / 90 for i in range(91)]
        path = [(0, s * y, height(y)) for y in ys]
        tip = 0.5 if s < 0 else 0.12

        def narrow(t, span=end - 0.98, tip=tip):
            left = (1 - t) * span
            curve = math.sqrt(max(0.0, 1 - (1 - min(left / tip, 1)) ** 2)) if left < tip else 1
            return (1 - 0.16 * min(1, t * 1.3)) * max(curve, 0.05)

        sec = ellipse(0.13, 1.0, 7, 40)
        verts, faces = [], []
        for i, p in enumerate(path):
            k = narrow(i / 90)
            for a, b in sec:
                verts.append((b * k, p[1], p[2] + a))
        n = len(sec)
        for i in range(90):
            for j in range(n):
                faces.append((i * n + j, i * n + (j + 1) % n, (i + 1) * n + (j + 1) % n, (i + 1) * n + j))
        faces += [list(range(n))[::-1], list(range(90 * n, 91 * n))]
        mesh_object("strap", verts, faces, hide, 50)
        y = 1.22
        while y < end - (0.55 if s < 0 else 0.2):
            t = (y - 0.98) / (end - 0.98)
            for sx in (-1, 1):
                rise = math.degrees(math.atan(height(y + 0.01) - height(y)) / 0.01)
                box("stitch", (0.022, 0.085, 0.02), thread, (sx * (0.5 * narrow(t) - 0.075), s * y, height(y) + 0.068), (max(-8, rise) * s, 0, 0), 0.008, 2)
            y += 0.135
        if s < 0:
            for k in range(6):
                lathe("hole", [(0, 0), (0.036, 0)], plain("hole", "#1d120c", 0.9), 24).location = (0, -(2.1 + 0.22 * k), 0.1415)
        else:
            frame = rounded([(-0.56, 0, 0.1), (0.56, 0, 0.1), (0.56, 0.42, 0.16), (-0.56, 0.42, 0.16)], 6, closed=True)
            loop = [(x, end - 0.14 + yy, 0.10) for x, yy in frame]
            sweep("buckle", [*loop, loop[0], loop[1]], ellipse(0.10, 0.10, 3, 20), steel, caps=False)
            sweep("prong", spline([(0, end - 0.14, 0.14), (0, end + 0.05, 0.175), (0, end + 0.30, 0.165)], 16), ellipse(0.055, 0.075, 3), steel)
            for yy in (2.55, 2.85):
                band = rounded([(-0.5, 0, 0.03), (0.5, 0, 0.03), (0.5, 0.175, 0.04), (-0.5, 0.175, 0.04)], 5, closed=True)
                ring = [(x, yy, h) for x, h in [*band, band[0], band[1]]]
                sweep("keeper", ring, ellipse(0.03, 0.15, 5, 16), hide, caps=False)
    place(group_since(start), (0, 0, 0), (0, 0, -33))

    paper = concrete("slate", "#76828c", "#606b75", 0.5)
    box("slate", (30, 30, 0.4), paper, (0, 0, -0.2), bevel=0)
    light((-5, 3.5, 6.0), (0, 0, 0), (3, 3), 620, "#fff5e8")
    light((5.5, -1, 5), (0, 0, 0), (2, 5), 150, "#eaf2ff")
    light((0, 7.5, 5.5), (0, 0.5, 0), (6, 2), 240, "#ffffff")
    ambient("#eef1f4", 0.24)
    camera((0, -6.2, 12.4), (0.05, -0.12, 0.1), 71)
    exposure(0.25)


@picture("teapot", 1080, 720)
def teapot():
    """Celadon teapot on a walnut table, a warm wall behind."""
    body = lathe(
        "body",
        [(0, 0.04), (0.42, 0.04), (0.44, 0.0), (0.50, 0.0), (0.53, 0.06)]
        + [tuple(p) for p in spline([(0.60, 0.09), (0.86, 0.30), (0.97, 0.62), (0.88, 0.96), (0.62, 1.20), (0.47, 1.27)], 60)]
        + [(0.45, 1.30), (0.40, 1.30), (0.36, 1.24), (0, 1.2)],
        None, 128,
    )  # fmt: skip
    spout = sweep(
        "spout",
        spline([(0.70, 0, 0.46), (1.02, 0, 0.52), (1.22, 0, 0.74), (1.36, 0, 1.02), (1.56, 0, 1.20)], 60),
        ellipse(0.5, 0.5, 2, 36), None, taper=lambda t: 1.05 - 0.62 * t**0.75, bore=0.032,
    )  # fmt: skip
    handle = sweep(
        "handle",
        spline([(-0.74, 0, 1.02), (-0.98, 0, 1.16), (-1.30, 0, 1.12), (-1.45, 0, 0.86), (-1.36, 0, 0.54), (-1.12, 0, 0.36), (-0.82, 0, 0.38)], 70),
        ellipse(0.13, 0.19, 2.3), None, taper=lambda t: 1 + 0.35 * abs(2 * t - 1) ** 6,
    )  # fmt: skip
    skin = glaze("celadon", "#6fa58f", edge=0.07, clay="#c2a183", roughness=0.1)
    pot = fuse("teapot", [body, spout, handle], skin, 0.0125, 9)
    lid = lathe(
        "lid",
        rounded([(0.0, 1.28), (0.40, 1.28), (0.46, 1.315, 0.02), (0.455, 1.345, 0.02), (0.30, 1.42, 0.2), (0.10, 1.46, 0.06), (0.07, 1.52, 0.05), (0.15, 1.62, 0.07), (0.10, 1.71, 0.06), (0, 1.72)], 9),
        skin, 128,
    )  # fmt: skip
    place(group(pot, lid), (0, 0, 0.02), (0, 0, -22))
    planks(walnut("X", 0.7, roughness=0.34), 6, (30, 1.7, 0.3), loc=(0, 0.4, 0), gap=0.02)
    wall(plaster("wall", "#c9a98a", 0.2, 0.6), 8.5)
    light((-5.0, 0.2, 4.6), (0, 0, 0.6), (2.8, 2.8), 600, "#fff2e2")
    light((5.5, -4, 3), (0, 0, 0.8), (4, 3), 120, "#eaf1ff")
    light((3, 4.5, 4), (0, 0, 1), (3, 2), 220, "#fff1df")
    light((-4, 4, 7), (-2, 8.5, 3), 4, 420, "#ffe6c8")
    ambient("#efe6da", 0.2)
    camera((0.1, -9.2, 2.9), (0.03, 0, 0.74), 85, 0.45, (0, -0.6, 0.8))
    exposure(0.45)


@picture("candle-jar", 810, 1080)
def candle_jar():
    """Lit candle in an amber jar with a paper label, its wooden lid beside it."""
    lathe(
        "jar",
        rounded([(0, 0), (0.47, 0, 0.06), (0.50, 0.05, 0.05), (0.50, 1.18, 0.02), (0.465, 1.18, 0.02), (0.465, 0.10, 0.06), (0, 0.08)], 8),
        glass("amber glass", "#ecbd84", 1.45, shadow="#efcf9f"), 160,
    )  # fmt: skip
    wax = plain("wax", "#f6ead2", 0.45, Subsurface_Weight=1.0, Subsurface_Radius=(0.5, 0.3, 0.15), Subsurface_Scale=0.3)
    lathe("wax", rounded([(0, 0.10), (0.455, 0.10, 0.05), (0.455, 0.98, 0.01), (0.44, 0.965, 0.02), (0, 0.95)], 6), wax, 128)
    tube("wick", [(0, 0, 0.92), (0.0, 0, 1.02), (0.015, 0, 1.09)], 0.012, plain("wick", "#221813", 0.9), 20, 10)
    g = Graph("flame")
    z = g.node("SeparateXYZ", {0: g.coords()}).outputs[2]
    colour = g.ramp(z, (0.0, "#ff8a2a"), (0.25, "#ffc069"), (0.8, "#ffe3a8"))
    flame = g.surface(g.node("Emission", {"Color": colour, "Strength": 9.0}))
    fire = lathe("flame", spline([(0.001, 0.0), (0.035, 0.05), (0.043, 0.11), (0.025, 0.21), (0.001, 0.33)], 40), flame, 32)
    fire.location = (0.012, 0, 1.05)
    fire.visible_shadow = False  # it would hide the light inside it
    lamp = bpy.data.lights.new("flame", "POINT")
    lamp.energy, lamp.color, lamp.shadow_soft_size = 9, rgb("#ffb765")[:3], 0.06
    obj = bpy.data.objects.new("flame light", lamp)
    bpy.context.scene.collection.objects.link(obj)
    obj.location = (0.012, 0, 1.2)
    R = 0.503
    paper = plain("label", "#f3ecdf", 0.7)
    lathe("label", [(R, 0.27), (R, 0.82)], paper, 48, arc=(-90 - 44, -90 + 44))
    ink = plain("ink", "#2d2620", 0.6)
    lettering("FIG & CEDAR", 0.098, ink, (0, 0, 0.63), radius=R + 0.003, spacing=1.1)
    lettering("scented candle", 0.062, ink, (0, 0, 0.51), radius=R + 0.003, spacing=1.05)
    lathe("rule", [(R + 0.002, 0.430), (R + 0.002, 0.436)], ink, 24, arc=(-90 - 14, -90 + 14))
    lettering("soy wax  220 g", 0.045, ink, (0, 0, 0.365), radius=R + 0.003, spacing=1.1)

    lid = lathe("lid", rounded([(0, 0), (0.44, 0, 0.01), (0.44, 0.07), (0.53, 0.07, 0.02), (0.53, 0.20, 0.03), (0, 0.20)], 6), oak("X", 1.3), 128)
    place(lid, (0.80, 0.28, 0.505), (-74, 0, -24))
    lid.location = (0.86, 0.10, 0.50)
    rnd = random.Random(11)
    waves = [(rnd.uniform(-1.2, 1.2), rnd.uniform(-1, 1), rnd.uniform(0, 6), rnd.uniform(0.4, 1)) for _ in range(6)]

    def folds(x, y):
        far = min(1.0, max(0.0, (math.hypot(x - 0.3, y) - 1.2) / 1.8))
        return 0.085 * far * sum(k * sin(a * x * 1.7 + b * y * 1.7 + p) for a, b, p, k in waves)

    grid("linen", 12, 8, woven("linen", "#b9b3a6", 70, 0.3, 0.5), folds, 240, (0, 0.6, 0))
    wall(plaster("wall", "#5f6b66", 0.15, 0.7), 6.5)
    rnd = random.Random(3)
    for _ in range(9):
        s = rnd.uniform(0.05, 0.09)
        dot = lathe("bokeh", [(0.001, -s), *[(s * cos(radians(a)), s * sin(radians(a))) for a in range(-75, 76, 15)], (0.001, s)], glow("bokeh", "#ffc98a", 14), 16)
        dot.location = (rnd.uniform(-2.6, 2.6), 6, rnd.uniform(1.2, 3.6))
    light((-4, -1.5, 3.6), (0, 0, 0.6), (2.6, 3.2), 230, "#fff0df")
    light((3.4, -3, 2), (0, 0, 0.6), (2, 3), 50, "#eaf0ff")
    light((2.2, 3.2, 3), (0, 0, 0.6), (2.2, 2), 150, "#ffdcb4")
    light((0, 3, 6), (0, 6.5, 2), 4, 240, "#ffe2bd")
    ambient("#d9d2c6", 0.2)
    camera((0.2, -7.2, 2.0), (0.34, 0, 0.80), 82, 0.4, (0, -0.4, 0.6))
    exposure(0.5)


@picture("vase", 720, 1080)
def vase():
    """Fluted white vase with eucalyptus on a plinth, window light on the wall."""
    line = [tuple(p) for p in spline([(0.42, 0.0), (0.62, 0.25), (0.86, 0.80), (0.92, 1.25), (0.74, 1.75), (0.42, 2.10), (0.34, 2.35), (0.44, 2.62)], 120)]
    inner = [(r - 0.05, z) for r, z in reversed(line[40:])]

    def flutes(a, z):
        amount = 0.03 * min(1, z / 0.3) * max(0.0, min(1, (2.35 - z) / 0.5))
        return 1 - amount * (1 - abs(sin(a * 16))) ** 1.5

    lathe("vase", [(0, 0.0), *line, *inner, (0, inner[-1][1])], glaze("matt white", "#ece6da", roughness=0.5, speckle=0.25), 512, flutes, smooth=60)
    stem_mat = plain("stem", "#6a5a3e", 0.7)
    leaf_mat = plain("leaf", "#6d8b78", 0.6, Subsurface_Weight=0.1)
    rnd = random.Random(8)
    stems = [
        [(0.0, 0.0, 1.2), (0.10, 0.0, 2.5), (0.55, 0.0, 3.6), (1.15, -0.1, 4.5)],
        [(0.0, 0.1, 1.2), (-0.12, 0.05, 2.5), (-0.40, 0.1, 3.7), (-0.85, 0.1, 4.9)],
        [(0.0, 0.0, 1.2), (0.02, 0.1, 2.5), (0.12, 0.2, 3.9), (0.20, 0.1, 5.3)],
        [(0.0, 0.0, 1.2), (-0.20, -0.1, 2.5), (-0.85, -0.2, 3.25), (-1.45, -0.2, 3.75)],
    ]
    for points in stems:
        path = spline(points, 60)
        sweep("stem", path, ellipse(0.05, 0.05, 2, 10), stem_mat, taper=lambda t: 1 - 0.7 * t)
        for i in range(25, 60, 4):
            tip = (i - 25) / 35
            for s in (-1, 1):
                size = (0.46 - 0.22 * tip) * rnd.uniform(0.85, 1.1)
                outline = [(0.42 * size * sin(a) * 1.1, 0.5 * size * (1 - cos(a))) for a in [2 * pi * k / 28 for k in range(28)]]
                verts = [(x, y, 0.35 * x * x / size + 0.12 * y * y / size) for x, y in outline]
                verts.append((0, 0.5 * size, 0.0))
                faces = [(k, (k + 1) % 28, 28) for k in range(28)]
                obj = mesh_object("leaf", verts, faces, leaf_mat, 180)
                tangent = (path[min(i + 1, 59)] - path[i - 1]).normalized()
                out = Matrix.Rotation(rnd.uniform(0, 2 * pi) if rnd.random() < 0.4 else rnd.uniform(-0.5, 0.5), 3, tangent) @ tangent.cross(Vector((0, 1, 0))) * s
                direction = (out + tangent * 0.55 + Vector((0, -0.25, 0))).normalized()
                obj.rotation_euler = direction.to_track_quat("Y", "Z").to_euler()
                obj.rotation_euler.rotate_axis("Y", rnd.uniform(-0.7, 0.7))
                obj.location = path[i]
    box("plinth", (4.2, 3.4, 3), concrete("plinth", "#d6cfc4", "#c2bab0", 0.9), (0, 0.1, -1.5), bevel=0.04)
    wall(plaster("wall", "#cfa67f", 0.2, 0.6), 3.2, bottom=-8)
    window_sun((-12, -11, 11), (0.5, 3.0, 2.6), 52000, (0.17, 0.23), 0.016, (2, 3), 0.16, leaves=0)
    light((-6, -5, 5), (0, 0, 1.5), (5, 5), 420, "#fff3e6")
    light((6, -3, 3), (0, 0, 1.5), (3, 5), 150, "#f6e8da")
    ambient("#efe6da", 0.26)
    camera((0.2, -14, 3.1), (0, 0, 2.28), 75, 0.8, (0, -0.8, 1.5))
    exposure(-0.05)


@picture("pump-bottle", 1080, 810)
def pump_bottle():
    """Amber soap bottle with a black pump on a stone ledge before green tiles."""
    lathe(
        "bottle",
        rounded([(0, 0.02), (0.34, 0.0), (0.40, 0, 0.06), (0.42, 0.06, 0.06), (0.42, 1.16, 0.26), (0.19, 1.40, 0.10), (0.18, 1.52), (0, 1.52)], 12),
        glass("amber", "#c4702a", 1.45, shadow="#a9692f"), 160,
    )  # fmt: skip
    inner = rounded([(0, 0.09), (0.30, 0.08), (0.37, 0.09, 0.06), (0.375, 1.02), (0, 1.02)], 8)
    lathe("soap", inner, glass("soap", "#e0a050", 1.36 / 1.45), 128)
    lathe("air", rounded([(0, 1.023), (0.375, 1.023), (0.375, 1.15, 0.24), (0.15, 1.36, 0.1), (0.14, 1.48), (0, 1.48)], 10), glass("air", "#ffffff", 1 / 1.45), 128)
    rod("dip tube", (0.12, 0.02, 0.12), (0, 0, 1.5), 0.03, 0.03, plain("tube", "#e8dfd0", 0.4))
    black = plain("black", "#17171a", 0.32, Coat_Weight=0.2)
    ribs = lambda a, z: 1 + 0.018 * cos(44 * a)  # noqa: E731
    lathe("collar", rounded([(0, 1.44), (0.235, 1.44, 0.015), (0.235, 1.68, 0.03), (0.12, 1.70, 0.02), (0.11, 1.78, 0.02), (0, 1.78)]), black, 352, ribs)
    lathe("piston", rounded([(0, 1.74), (0.055, 1.74), (0.055, 2.02), (0, 2.02)]), plain("piston", "#2a2a2d", 0.3))
    head = lathe("head", rounded([(0, 1.94), (0.13, 1.94, 0.02), (0.135, 2.10, 0.04), (0, 2.12)]), None, 96)
    nozzle = sweep("nozzle", spline([(0.0, 0, 2.05), (0.25, 0, 2.065), (0.46, 0, 2.055), (0.58, 0, 2.00)], 40), ellipse(0.10, 0.13, 3), None, taper=lambda t: 1 - 0.25 * t)
    fuse("pump", [head, nozzle], black, 0.006, 5)
    R = 0.4225
    lathe("label", [(R, 0.22), (R, 0.94)], plain("label", "#f1ede4", 0.6), 64, arc=(-90 - 56, -90 + 56))
    ink = plain("ink", "#1f2420", 0.6)
    lettering("HAND WASH", 0.09, ink, (0, 0, 0.72), radius=R + 0.003, spacing=1.08)
    lathe("rule", [(R + 0.002, 0.615), (R + 0.002, 0.622)], ink, 24, arc=(-90 - 20, -90 + 20))
    lettering("bergamot & sage", 0.064, ink, (0, 0, 0.52), radius=R + 0.003, spacing=1.05)
    lettering("300 ml", 0.05, ink, (0, 0, 0.34), radius=R + 0.003, spacing=1.1)
    place(group_since(set()), (0, 0, 0), (0, 0, -16))

    g = Graph("tiles")
    vec = g.coords(rot=(90, 0, 0))
    brick = g.node("TexBrick", {"Vector": vec, "Color1": "#7fa08d", "Color2": "#94b3a0", "Mortar": "#d9d6cc", "Scale": 1.0, "Mortar Size": 0.022, "Mortar Smooth": 0.3, "Bias": 0.0, "Brick Width": 1.5, "Row Height": 0.5})
    ripple = g.noise(g.coords(), 2.2, 3)
    tile_bump = g.bump(brick.outputs[1], -0.6, 0.05)
    tile_bump = g.bump(ripple, 0.16, 0.25, tile_bump.outputs[0])
    rough = g.ramp(brick.outputs[1], (0.0, 0.10), (1.0, 0.8))
    tiles = g.surface(g.principled(Base_Color=brick.outputs[0], Roughness=rough, Normal=tile_bump))
    wall(tiles, 2.9, bottom=0)
    g = Graph("stone")
    vec = g.coords()
    vein = g.noise(vec, 0.8, 9, 0.6, 1.6)
    line = g.ramp(g.math("ABSOLUTE", g.math("SUBTRACT", vein, 0.5)), (0.0, 0.0), (0.05, 1.0))
    stone = g.surface(g.principled(Base_Color=g.mix(line, "#a39b8f", "#d3ccc0"), Roughness=0.28))
    box("ledge", (20, 6.2, 0.5), stone, (0, -0.2, -0.25), bevel=0.04)
    light((-4, -0.4, 4), (0, 0, 0.7), (2.0, 2.6), 340, "#fff6ec")
    light((3.6, -2, 2.4), (0, 0, 0.9), (1.2, 3.6), 100, "#ffffff")
    light((1.8, 2.2, 3.6), (0, 0, 0.9), (2.2, 1.2), 120, "#fff0dc")
    light((-1.5, -0.5, 6), (0, 2.9, 1.0), 3, 160, "#ffffff")
    ambient("#f2f4f0", 0.24)
    camera((0.15, -7.8, 2.0), (0.10, 0, 1.05), 78, 0.5, (0, -0.4, 0.9))
    exposure(0.15)


@picture("sunlit-kitchen", 1280, 720)
def sunlit_kitchen():
    """An empty oak counter by a sunny window: a scene to put a product in."""
    planks(oak("X", 0.55, coat=0.1), 6, (44, 1.7, 0.5), loc=(0, 0.6, 0))
    back = 5.6
    tile = Graph("tiles")
    position = tile.node("NewGeometry").outputs["Position"]  # one grid for all parts of the wall
    vec = tile.node("Mapping", {"Vector": position, "Rotation": (radians(90), 0, 0)})
    brick = tile.node("TexBrick", {"Vector": vec, "Color1": "#e9e4da", "Color2": "#efebe2", "Mortar": "#cfc8bb", "Scale": 1.0, "Mortar Size": 0.02, "Mortar Smooth": 0.3, "Bias": 0.0, "Brick Width": 1.6, "Row Height": 0.8})
    tiles = tile.surface(tile.principled(Base_Color=brick.outputs[0], Roughness=0.2, Normal=tile.bump(brick.outputs[1], -0.5, 0.04)))
    # wall around a window opening
    left, right, low, high = -9.0, -1.6, 1.5, 9.5
    box("wall", (12, 0.4, 14), tiles, (left - 6, back, 6), bevel=0)
    box("wall", (24, 0.4, 14), tiles, (right + 12, back, 6), bevel=0)
    box("wall", (right - left, 0.4, low + 1), tiles, ((left + right) / 2, back, (low - 1) / 2), bevel=0)
    box("wall", (right - left, 0.4, 4), tiles, ((left + right) / 2, back, high + 2), bevel=0)
    white = plain("frame", "#f4f1ea", 0.35)
    mid = (left + right) / 2
    for x in (left + 0.15, mid, right - 0.15):
        box("stile", (0.3, 0.4, high - low), white, (x, back, (low + high) / 2), bevel=0.04)
    for z in (low + 0.15, (low + high) / 2 + 0.6, high - 0.15):
        box("rail", (right - left, 0.36, 0.3), white, (mid, back, z), bevel=0.04)
    box("sill", (right - left + 0.8, 1.2, 0.2), white, (mid, back - 0.4, low), bevel=0.05)
    g = Graph("garden")
    vec = g.coords((0.16, 0.16, 0.16))
    leaves = g.noise(vec, 3.4, 1.2, 0.4)
    colour = g.ramp(leaves, (0.28, "#4d7a3c"), (0.46, "#8fb766"), (0.58, "#d3e3b0"), (0.72, "#f4f9ff"))
    garden = g.surface(g.node("Emission", {"Color": colour, "Strength": 2.6}))
    wall(garden, back + 9, 60, 40, -8)
    # right: a shelf with everyday things, well out of focus
    box("shelf", (9, 1.5, 0.28), oak("X", 0.6), (6.6, back - 0.9, 4.6), bevel=0.03)
    for x in (3.4, 9.8):
        box("bracket", (0.14, 1.1, 0.9), metal("iron", "#4a443c", 0.4), (x, back - 0.7, 4.05), bevel=0.02)
    for x, r, h, c in ((3.2, 0.5, 1.3, "#b9684a"), (4.5, 0.45, 1.8, "#e2d7c3"), (5.7, 0.5, 1.2, "#6f8a7e"), (8.9, 0.6, 0.8, "#d8b27c")):
        rod("jar", (x, back - 0.9, 4.74), (x, back - 0.9, 4.74 + h), r, r * 0.9, plain("jar", c, 0.3), 0.1)
    for k in range(5):
        lathe("plate", rounded([(0, 0), (0.4, 0), (0.75, 0.09, 0.1), (0.75, 0.12, 0.02), (0.4, 0.05), (0, 0.05)]), plain("plate", "#eee9df", 0.2), 64).location = (7.3, back - 0.9, 4.74 + 0.09 * k)
    rod("pot", (7.4, 4.2, 0), (7.4, 4.2, 1.1), 0.5, 0.68, plain("pot", "#c0704e", 0.8), 0.05)
    rnd = random.Random(6)
    green = plain("herb", "#5d8a45", 0.55, Subsurface_Weight=0.15)
    for _ in range(150):
        leaf = slab("leaf", leaf_outline(0.55, 0.28, 8), 0.012, green, 0.004, 1)
        a = rnd.uniform(0, 2 * pi)
        leaf.rotation_euler = (radians(rnd.uniform(20, 80)), 0, a)
        r = rnd.uniform(0, 0.8)
        leaf.location = (7.4 + r * cos(a), 4.2 + r * sin(a), 1.1 + rnd.uniform(0.0, 1.5) * (1.1 - r / 1.6))
    window_sun((-17, 13.5, 15), (0.5, 0.2, 0), 190000, (0.16, 0.15), 0.014, (2, 2), 0.2, "#ffe4ba", leaves=9)
    light(((left + right) / 2, back - 0.6, 5.5), (0, -2, 0), (7, 7.5), 900, "#f2f7ff")
    light((9, -8, 9), (2, 3, 2), (7, 6), 480, "#fff3e2")
    ambient("#f4efe6", 0.18)
    camera((0.5, -15.5, 4.8), (0.2, 1.2, 2.6), 43, 0.5, (0, 0.0, 0))
    exposure(0.2)


@picture("fabric-pattern", 1000, 1000)
def fabric_pattern():
    """Block-printed leaf pattern on natural cotton, seen from straight above."""
    size, repeat = 8.0, 2.0
    grid("cotton", 12, 12, woven("cotton", "#efe6d3", 48, 0.16, 0.3, 0.1), lambda x, y: 0.0, 4)
    inks = {c: woven("ink " + c, c, 48, 0.22, 0.3, 0.1, "Object") for c in ("#27485a", "#c4623f", "#d9a441")}

    def stamp(outline, colour, x, y, turn, lift):
        a = radians(turn)
        pts = [(x + px * cos(a) - py * sin(a), y + px * sin(a) + py * cos(a)) for px, py in outline]
        mesh_object("print", [(px, py, lift) for px, py in pts], [list(range(len(pts)))], inks[colour], 180, recalc=False)

    def motif(x, y, turn):
        stem = [(-0.016, -0.78), (0.016, -0.78), (0.012, 0.45), (-0.012, 0.45)]
        stamp(stem, "#27485a", x, y, turn, 0.001)
        a = radians(turn)
        spot = lambda d: (x - d * sin(a), y + d * cos(a))  # noqa: E731
        for d, length in ((-0.55, 0.52), (-0.25, 0.50), (0.05, 0.44)):
            for s in (-1, 1):
                stamp(leaf_outline(length, 0.19), "#27485a", *spot(d), turn + 52 * s, 0.002)
        stamp(leaf_outline(0.46, 0.2), "#c4623f", *spot(0.38), turn, 0.003)

    def dot(x, y, r, colour):
        stamp([(r * cos(2 * pi * k / 40), r * sin(2 * pi * k / 40)) for k in range(40)], colour, x, y, 0, 0.002)

    cells = int(size / repeat) + 2
    for i in range(-cells, cells + 1):
        for j in range(-cells, cells + 1):
            x, y = i * repeat, j * repeat
            motif(x, y, 24 if (i + j) % 2 else -24)
            dot(x + repeat / 2, y + repeat / 2 - 0.1, 0.13, "#d9a441")
            for k in range(6):
                a = radians(60 * k)
                dot(x + repeat / 2 + 0.25 * cos(a), y + repeat / 2 - 0.1 + 0.25 * sin(a), 0.035, "#c4623f")
    light((-7, 6, 9), (0, 0, 0), (6, 6), 2100, "#fff8ee")
    light((6, -5, 10), (0, 0, 0), (8, 8), 900, "#f4f7ff")
    ambient("#ffffff", 0.24)
    cam = camera((0, 0, 20), (0, 0, 0), 50)
    cam.rotation_euler = (0, 0, 0)
    cam.data.type, cam.data.ortho_scale = "ORTHO", size
    exposure(0.1)


# --------------------------------------------------------------------------
# Rendering and files
# --------------------------------------------------------------------------


def bare_jpeg(data: bytes) -> bytes:
    """The same JPEG without comments and application segments but JFIF."""
    out, at = bytearray(data[:2]), 2
    while data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big") + 2
        kind = data[at + 1]
        if kind == 0xE0 or not (kind == 0xFE or 0xE1 <= kind <= 0xEF):
            out += data[at : at + size]
        at += size
    return bytes(out + data[at:])


def save(path: Path, kilobytes: int) -> int:
    """Write the rendered picture with the best quality that fits the budget."""
    scene = bpy.context.scene
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode = "JPEG", "RGB"
    for quality in range(94, 59, -2):
        settings.quality = quality
        bpy.data.images["Render Result"].save_render(str(path), scene=scene)
        data = bare_jpeg(path.read_bytes())
        path.write_bytes(data)
        if len(data) <= kilobytes * 1000:
            break
    return quality


def render(name: str, out: Path, draft: bool, png: Path | None) -> None:
    width, height, samples, kilobytes, build = PICTURES[name]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.view_settings.view_transform = "AgX"
    build()
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.resolution_percentage = 50 if draft else 100
    cycles = scene.cycles
    cycles.samples = 24 if draft else samples
    cycles.use_adaptive_sampling, cycles.adaptive_threshold = True, 0.03
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.max_bounces, cycles.transmission_bounces, cycles.glossy_bounces = 16, 14, 6
    cycles.diffuse_bounces, cycles.transparent_max_bounces = 4, 16
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.blur_glossy, cycles.sample_clamp_indirect = 0.5, 6.0
    began = time.time()
    bpy.ops.render.render()
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{name}.jpg"
    quality = save(target, kilobytes)
    if png:
        png.mkdir(parents=True, exist_ok=True)
        scene.render.image_settings.file_format = "PNG"
        bpy.data.images["Render Result"].save_render(str(png / f"{name}.png"), scene=scene)
    print(f"{target.name}: {target.stat().st_size} bytes, quality {quality}, {time.time() - began:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="pictures to make (default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / "manifests" / "images", help="folder for the JPEGs")
    parser.add_argument("--png", type=Path, help="also write PNG copies to this folder")
    parser.add_argument("--draft", action="store_true", help="half size, few samples")
    parser.add_argument("--list", action="store_true", help="list the pictures and stop")
    args = parser.parse_args()
    unknown = set(args.names) - set(PICTURES)
    if unknown:
        parser.error(f"no such picture: {', '.join(sorted(unknown))}")
    for name in args.names or PICTURES:
        if args.list:
            width, height, *_, build = PICTURES[name]
            print(f"{name}.jpg  {width}x{height}  {build.__doc__.strip()}")
        else:
            render(name, args.out, args.draft, args.png)


if __name__ == "__main__":
    main()
