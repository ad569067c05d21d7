"""The package as others get it: a source distribution, the wheel made from it, and environments with little else."""

import tarfile

import pytest
from built_package import BareEnvironment, build, copy_of_the_sources, metadata


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    archive = build("build_sdist", copy_of_the_sources(folder / "sources"), folder)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="session")
def wheel(unpacked, tmp_path_factory):
    """The wheel, made from the source distribution."""
    return build("build_wheel", unpacked, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def without_the_library(wheel, tmp_path_factory):
    """An environment with what the wheel needs, and not the wheel."""
    return BareEnvironment(tmp_path_factory.mktemp("without"), metadata(wheel).get_all("Requires-Dist"))


@pytest.fixture(scope="session")
def bare(wheel, tmp_path_factory):
    """The wheel alone, installed beside what it needs."""
    environment = BareEnvironment(tmp_path_factory.mktemp("bare"), metadata(wheel).get_all("Requires-Dist"))
    install = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    result = environment.run("python", *install, cwd=wheel.parent)
    assert result.returncode == 0, result.stderr
    return environment
