"""Build file of the ROS package emgait_ros (ament_python): `colcon build` runs it."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "emgait_ros"


def shared(folder: str) -> list[tuple[str, list[str]]]:
    """data_files entries that copy a folder of this repository to share/emgait_ros, sub-folders included."""
    parents = sorted({path.parent for path in Path(folder).rglob("*") if path.is_file()})
    return [
        (f"share/{PACKAGE}/{parent}", [str(f) for f in sorted(parent.iterdir()) if f.is_file()]) for parent in parents
    ]


setup(
    name=PACKAGE,
    version="0.2.0",
    description="Recognises people by the way they walk, from a LiDAR and a camera, live on ROS 2",
    license="Apache-2.0",
    maintainer="emgait_ros maintainers",
    maintainer_email="maintainers@emgait.example",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["console/static/*", "lab/simulation/data/*", "py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *shared("launch"),
        *shared("config"),
        *shared("models"),
    ],
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # `colcon test` runs pytest when it reads that here, else it finds no tests
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "emgait = emgait_ros.cli.main:main",
            "pedestrian_tracker = emgait_ros.nodes.entry:pedestrian_tracker",
            "gait_recognizer = emgait_ros.nodes.entry:gait_recognizer",
            "bridges = emgait_ros.nodes.entry:bridges",
        ],
    },
)
