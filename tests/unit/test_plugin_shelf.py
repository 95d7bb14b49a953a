"""Bundles on a pod: checked before they are unpacked, read only, with their secrets filled in."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.bundles import (
    BundleLoader,
    BundleShelf,
    PluginSecrets,
    check_source,
    read_plugin,
)
from kotaemon_node.adapters.sandbox.manifest_file import read_manifest
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.store.uploads import StoreUploads
from kotaemon_node.domain import acting_limits
from kotaemon_node.domain.artifact_names import bundle_name
from kotaemon_node.domain.errors import Invalid, TooLarge
from kotaemon_node.domain.plugin_bundle import (
    digest_of,
    manifest_text,
    message_of,
    packed,
    plugin_name_of,
)
from kotaemon_node.domain.plugin_manifest import Manifest
from kotaemon_node.domain.plugin_releases import Release
from kotaemon_node.ports.plugin_registry import PluginRefused, Wanted
from tests.fakes.plugin_rollout import Loaded, release
from tests.fakes.signing import SIGNER, STRANGER, VERIFIER

FILES = {
    "orders/__init__.py": b"x = 1\n",
    "orders/shop/api.py": b"y = 2\n",
    "orders.yaml": b"config: {url: u, key: {secret: SHOP_KEY}}\n",
}


class Shelf:
    """A store with a bundle in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = FileArtifactStore(root / "store")
        self.shelf = BundleShelf(
            self.store,
            StoreUploads(self.store, native=here),
            VERIFIER,
            tenant="default",
            folder=root / "unpacked",
            native=here,
        )
        self.release = self.signed(packed(FILES))

    def signed(self, raw: bytes, name: str = "orders", signer: Any = SIGNER) -> Release:
        digest = self.shelf.add(raw)
        return Release(digest, signer.key_id, signer.sign(message_of(name, digest)).hex())


def here(work: Any, *arguments: Any) -> Any:
    return work(*arguments)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_a_bundle_is_unpacked_once_and_read_only(shelf: Shelf) -> None:
    folder = shelf.shelf.folder_of("orders", shelf.release)

    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert found == FILES
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    assert modes == {0o444}
    assert shelf.shelf.folder_of("orders", shelf.release) == folder
    assert os.listdir(folder.parent) == [shelf.release.bundle]


def test_a_folder_that_somebody_changed_is_made_anew(shelf: Shelf) -> None:
    folder = shelf.shelf.folder_of("orders", shelf.release)
    module = folder / "orders" / "__init__.py"
    module.chmod(0o644)
    module.write_text("evil = 1\n")
    assert shelf.shelf.folder_of("orders", shelf.release) == folder
    assert module.read_bytes() == b"x = 1\n"

    (folder / "more.py").write_text("evil = 1\n")
    shelf.shelf.folder_of("orders", shelf.release)
    assert not (folder / "more.py").exists()


def test_a_changed_bundle_is_refused(shelf: Shelf) -> None:
    name = bundle_name("default", shelf.release.bundle)
    shelf.store.delete(name)
    shelf.store.put_if_absent(name, packed({**FILES, "orders.yaml": b""}))

    with pytest.raises(PluginRefused, match="checksum"):
        shelf.shelf.folder_of("orders", shelf.release)


def test_a_bundle_that_is_not_there_is_refused(shelf: Shelf) -> None:
    shelf.store.delete(bundle_name("default", shelf.release.bundle))

    with pytest.raises(PluginRefused, match="no tenants/default/plugins"):
        shelf.shelf.folder_of("orders", shelf.release)


def test_only_what_a_trusted_key_signed_for_this_plugin_is_opened(shelf: Shelf) -> None:
    other = packed({"refunds.py": b""})
    stranger = shelf.signed(other, "refunds", STRANGER)
    for name, wanted, why in (
        ("refunds", stranger, "not trusted"),
        ("orders", replace(shelf.release, bundle=digest_of(other)), "not what key"),
        ("refunds", shelf.release, "not what key"),
        ("orders", replace(shelf.release, signature="no hex"), "hexadecimal"),
        ("orders", shelf.signed(other, "orders"), "of the plugin refunds"),
    ):
        with pytest.raises(PluginRefused, match=why):
            shelf.shelf.files(name, wanted)


def test_a_module_that_would_take_long_to_compile_is_refused_before_it_is() -> None:
    most = acting_limits.PLUGIN_MODULE_BYTES_MAX
    check_source({"orders.py": b"#" * most, "table.json": b"[" * (most + 1)})
    with pytest.raises(TooLarge, match=r"orders/table\.py has more than 200000 bytes"):
        check_source({"orders/__init__.py": b"no Python", "orders/table.py": b"(" * (most + 1)})


def read(files: Mapping[str, bytes]) -> Manifest:
    return read_manifest(plugin_name_of(files), manifest_text(files))


class Starter:
    """Notes with what it was asked to start."""

    def __init__(self) -> None:
        self.config: Mapping[str, Any] = {}
        self.secrets: Sequence[str] = ()

    def __call__(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        config: Mapping[str, Any],
        secrets: Sequence[str],
    ) -> Loaded:
        self.config = config
        self.secrets = secrets
        return Loaded(Wanted(manifest.name, release("a")), "")


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "SHOP_KEY").write_text("s3cret\n")
    return folder


def test_configuration_stands_over_the_manifest_and_secrets_are_filled_in(
    shelf: Shelf, secrets: Path
) -> None:
    start = Starter()
    loader = BundleLoader(shelf.shelf, PluginSecrets(secrets), read=read, start=start)
    wanted = Wanted("orders", replace(shelf.release, config={"url": "v", "more": [{"a": 1}]}))

    loaded = loader.load(wanted)

    assert start.config == {"url": "v", "key": "s3cret", "more": [{"a": 1}]}
    assert start.secrets == ("s3cret",)
    assert loaded.description.version == wanted.release.version
    assert "s3cret" not in loaded.mark
    assert loader.mark(wanted) == loaded.mark

    (secrets / "SHOP_KEY").write_text("other")
    assert loader.mark(wanted) != loaded.mark


def test_a_secret_that_is_nowhere_is_named_and_never_one_of_the_pod(shelf: Shelf) -> None:
    variables = {"SHOP_KEY": "the pod's own", "PLUGIN_SECRET_SHOP_KEY": "the plugin's"}
    start = Starter()

    with pytest.raises(PluginRefused, match="no secret SHOP_KEY"):
        BundleLoader(shelf.shelf, PluginSecrets(None), read=read, start=start).load(
            Wanted("orders", shelf.release)
        )

    from_variable = PluginSecrets(None, environment=variables.get)
    loader = BundleLoader(shelf.shelf, from_variable, read=read, start=start)
    loader.load(Wanted("orders", shelf.release))
    assert start.config["key"] == "the plugin's"


def test_a_configuration_that_the_schema_refuses_does_not_start_and_tells_no_secret(
    shelf: Shelf, secrets: Path
) -> None:
    schema = (
        b"config: {key: {secret: SHOP_KEY}}\nconfig_schema: {properties: {key: {type: integer}}}\n"
    )
    wanted = Wanted("orders", shelf.signed(packed({**FILES, "orders.yaml": schema})))

    with pytest.raises(PluginRefused, match="config_schema") as refused:
        BundleLoader(shelf.shelf, PluginSecrets(secrets), read=read, start=Starter()).load(wanted)

    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("name", ["../passwd", "/etc/passwd", "", "a/b", ".hidden"])
def test_a_secret_is_no_path(secrets: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name for a secret"):
        PluginSecrets(secrets).filled({"key": {"secret": name}})
    assert PluginSecrets(secrets).mark({"key": {"secret": name}})


def test_a_plugin_is_read_from_its_file_its_folder_or_its_manifest(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text("x = 1\n")
    (tmp_path / "orders.yaml").write_text("effects: read\n")
    (tmp_path / "orders.py~").write_text("")
    (tmp_path / "__pycache__").mkdir()
    read = [read_plugin(tmp_path / name) for name in ("orders.py", "orders.yaml", "orders")]

    assert {it.name for it in read} == {"orders"}
    assert all(set(it.files) == {"orders.py", "orders.yaml"} for it in read)
    with pytest.raises(Invalid, match="no plugin"):
        read_plugin(tmp_path / "nothing.py")
